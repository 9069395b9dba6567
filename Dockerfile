# The README's steps on a bare Debian: `docker build -t paperlib .`, then `docker run --rm -it paperlib`.
# `.ci/fresh` runs the same steps without Docker.
FROM debian:bookworm-slim AS bare
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv make git && rm -rf /var/lib/apt/lists/*

FROM bare
WORKDIR /paperlib
COPY . .
RUN make setup
CMD ["make", "reproduce"]
