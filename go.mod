module github.com/omnichat/omnichat

go 1.26.0

toolchain go1.26.8
