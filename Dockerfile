# The page, the server with the page in it, and an image with nothing else.
FROM node:24.18.0-bookworm-slim AS page
WORKDIR /src/web
ENV npm_config_cache=/cache/npm
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN --mount=type=cache,target=/cache/npm npm ci
COPY web ./
RUN npm run build

FROM golang:1.26.8-bookworm AS server
WORKDIR /src
ENV GOMODCACHE=/cache/mod GOCACHE=/cache/build
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache/mod go mod download
COPY cmd/omnichat cmd/omnichat
COPY hub hub
COPY providers providers
COPY repo repo
COPY transport transport
COPY web/embed.go web/
COPY --from=page /src/web/dist web/dist
RUN --mount=type=cache,target=/cache/mod --mount=type=cache,target=/cache/build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /image/omnichat ./cmd/omnichat
RUN mkdir /image/data /image/tmp

# 65532 is nobody in particular. /data is for the embedded default, which keeps
# all there.
FROM scratch
COPY --from=server /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=server --chown=65532:65532 /image/data /data
COPY --from=server --chown=65532:65532 /image/tmp /tmp
COPY --from=server /image/omnichat /omnichat
ENV OMNICHAT_ADDR=:8080 OMNICHAT_DATA_DIR=/data
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["/omnichat", "healthcheck"]
ENTRYPOINT ["/omnichat"]
