# The upkeep image: a base to build on (examples/apache-sshd), or to copy upkeep out of (examples/any-image).
ARG NODE_IMAGE=node:24-bookworm-slim

FROM $NODE_IMAGE AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
# The bundle holds everything but koffi, which is native: its loader and the one prebuilt library of this platform.
RUN npm run build \
 && mkdir -p /out/node_modules \
 && cp -R package.json LICENSE dist /out/ \
 && cp -R node_modules/koffi node_modules/@koromix /out/node_modules/ \
 && rm -rf /out/node_modules/koffi/doc /out/node_modules/koffi/vendor \
 && chmod 755 /out/dist/upkeep.js

FROM $NODE_IMAGE
LABEL org.opencontainers.image.title="upkeep" \
      org.opencontainers.image.description="Keeps several commands running inside one container" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out /usr/local/lib/upkeep
RUN ln -s ../lib/upkeep/dist/upkeep.js /usr/local/bin/upkeep
STOPSIGNAL SIGTERM
# Well is who has everything as it is wished to be. Long starts, and other times: docs/reference/control.md#health.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["upkeep", "health"]
ENTRYPOINT ["upkeep", "run"]
