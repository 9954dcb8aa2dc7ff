// Loaded into NNI's manager before its own code. Pages of any origin, open in the user's browser, can send requests to
// 127.0.0.1, and NNI answers all of them. What only a foreign page sends is refused here before NNI sees it:
// - another name in Host, on a server that listens on loopback: a name that its owner let point here (DNS rebinding);
// - an Origin that is not this page's own, also when a WebSocket is opened, which browsers allow across origins;
// - Sec-Fetch-Site of another site, unless the user follows a link to the page;
// - POST, and any other request with a body that may change something, unless it is JSON: a page may send text or a
//   form to anyone without asking first, but not JSON;
// - NNI's proxy to netron.app, whose scripts would run as this page's own.
'use strict';
if (require('./nni_servers.cjs')) {
    const http = require('http');
    const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;

    const reasonToRefuse = (request, address) => {
        const { headers, method, rawHeaders, url } = request;
        const hosts = rawHeaders.filter((word, index) => index % 2 === 0 && word.toLowerCase() === 'host').length;
        const onLoopback = ['127.0.0.1', '::1'].includes((address || {}).address);
        if (hosts !== 1 || (onLoopback && !LOCAL.test(headers.host))) {
            return 'the Host header does not name this machine';
        }
        if (headers.origin !== undefined && headers.origin.toLowerCase() !== `http://${headers.host.toLowerCase()}`) {
            return 'it comes from a page of another origin';
        }
        const site = headers['sec-fetch-site'];
        const link = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
        if (!['same-origin', 'none', undefined].includes(site) && !(link && method === 'GET')) {
            return 'it comes from a page of another site';
        }
        const body = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] || 0) !== 0;
        const json = /^application\/json\s*(;|$)/i.test(headers['content-type'] || '');
        if (!json && (method === 'POST' || (body && method !== 'GET' && method !== 'HEAD'))) {
            return 'the Content-Type must be application/json';
        }
        if (url.split('?', 1)[0].toLowerCase().split('/').includes('netron')) {
            return 'the proxy to netron.app is closed';
        }
        return undefined;
    };

    const emit = http.Server.prototype.emit;
    http.Server.prototype.emit = function (event, ...args) {
        const [request, target] = args;
        const answered = ['request', 'checkContinue', 'checkExpectation'].includes(event);
        if (answered || event === 'upgrade' || event === 'connect') {
            const reason = reasonToRefuse(request, this.address());
            if (reason !== undefined) {
                const body = `refused: ${reason}\n`;
                const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length, Connection: 'close' };
                if (answered) {
                    target.writeHead(403, headers).end(body);
                } else {
                    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
                    target.end(`HTTP/1.1 403 Forbidden\r\n${lines}\r\n${body}`);
                }
                return true;
            }
            if (answered) {
                target.setHeader('X-Frame-Options', 'SAMEORIGIN');
            }
        }
        return emit.call(this, event, ...args);
    };
}
