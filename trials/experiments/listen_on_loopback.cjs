// Loaded into NNI's manager before its own code. The manager listens on all addresses and has no password, so anyone
// who reaches the port could start programs; on a machine of one user only that machine needs to reach it.
'use strict';
if (require('./nni_servers.cjs')) {
    const net = require('net');
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (...args) {
        if (typeof args[0] === 'number' && typeof args[1] !== 'string') {
            args.splice(1, 0, '127.0.0.1');
        } else if (args[0] !== null && typeof args[0] === 'object' && 'port' in args[0] && !args[0].host) {
            args[0] = { ...args[0], host: '127.0.0.1' };
        }
        return listen.apply(this, args);
    };
}
