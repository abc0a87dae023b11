# syntax=docker/dockerfile:1
# dev: a machine to work on.  test: runs the whole suite while it builds.  release (default): the program and its libraries.

FROM debian:bookworm-slim AS dev
WORKDIR /src
COPY deploy/packages.sh deploy/packages.sh
RUN bash -c 'source deploy/packages.sh && install_packages "${BUILD_PACKAGES[@]}" git ca-certificates' \
    && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json README.md LICENSE CHANGELOG.md ./
COPY gateway gateway
COPY conf conf
COPY deploy deploy
COPY docs docs
COPY tests tests

FROM dev AS test
RUN tests/run.sh

FROM dev AS build
RUN deploy/quickstart.sh --build-only --no-install \
    && mkdir -p /root-fs/usr/bin /root-fs/etc/sluice /root-fs/etc/ssl/certs /root-fs/tmp \
    && cp build/release/sluice /root-fs/usr/bin/sluice \
    && strip /root-fs/usr/bin/sluice \
    && cp conf/minimal.toml /root-fs/etc/sluice/sluice.toml \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
    && ldd build/release/sluice | awk '/=> \//{print $3} /ld-linux/{print $1}' \
       | while read -r library; do install -D "$(readlink -f "$library")" "/root-fs$library"; done

FROM scratch AS release
COPY --from=build /root-fs /
USER 65532:65532
EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s CMD ["/usr/bin/sluice", "healthcheck"]
ENTRYPOINT ["/usr/bin/sluice"]
CMD ["run", "--config", "/etc/sluice/sluice.toml"]
