# The page, the server with the page in it, and an image with nothing else.
FROM node:24-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM golang:1.26-bookworm AS server
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=page /src/web/dist ./web/dist
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /omnichat ./cmd/omnichat && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=server /omnichat /omnichat
COPY --from=server --chown=nonroot:nonroot /data /data
ENV OMNICHAT_ADDR=:8080 OMNICHAT_DATA_DIR=/data
EXPOSE 8080
USER nonroot
HEALTHCHECK --interval=5s --timeout=3s CMD ["/omnichat", "healthcheck"]
ENTRYPOINT ["/omnichat"]
