// Package web holds the built page.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist returns the built page: index.html, hashed files in assets/, and beside
// each file that compresses its .br and .gz. Before the first build of the
// page it has a placeholder only.
func Dist() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil { // the folder is embedded above
		panic(err)
	}
	return sub
}
