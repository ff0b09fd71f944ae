# The program in an image: docker build -t claude-batch-stream . (docs/operations.md, "Containers")
FROM node:22-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm pack --pack-destination /tmp \
  && mkdir /app \
  && tar -xzf /tmp/claude-batch-stream-*.tgz -C /app --strip-components=1 \
  && cp package-lock.json /app/
WORKDIR /app
# The SDK and pg are peers of the package, which `npm ci --omit=dev` alone leaves out. The lock file still fixes all versions.
RUN node -e "const p = require('./package.json'); for (const name of ['@anthropic-ai/sdk', 'pg']) p.dependencies[name] = p.devDependencies[name]; for (const name of ['devDependencies', 'peerDependencies', 'peerDependenciesMeta']) delete p[name]; fs.writeFileSync('package.json', JSON.stringify(p))" \
  && npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
  && npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-slim
COPY --from=build /app /app
# The job remembers what was paid for: without a volume, a new container knows nothing of its batches.
RUN mkdir /state /data && chown node:node /state /data
ENV NODE_ENV=production CLAUDE_BATCH_STREAM_STATE_DIR=/state
VOLUME /state
WORKDIR /data
USER node
ENTRYPOINT ["node", "/app/dist/bin/claude-batch-stream.js"]
