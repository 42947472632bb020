package transport

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"
)

//go:embed spec/openapi.yaml
var openAPI []byte

//go:embed spec/asyncapi.yaml
var asyncAPI []byte

func specification(doc []byte) echo.HandlerFunc {
	return func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", doc) }
}
