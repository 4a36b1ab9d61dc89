// npm's tftp as a command: node client.js get|put HOST PORT REMOTE LOCAL BLKSIZE WINDOWSIZE
const [verb, host, port, remote, local, blksize, windowsize] = process.argv.slice(2);
const client = require("tftp").createClient({
  host,
  port: Number(port),
  blockSize: Number(blksize),
  windowSize: Number(windowsize),
});
const done = (error) => {
  if (error) console.error(String(error));
  process.exit(error ? 1 : 0);
};
if (verb === "get") client.get(remote, local, done);
else client.put(local, remote, done);
