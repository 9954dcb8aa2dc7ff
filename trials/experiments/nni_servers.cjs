// Whether this Node.js process is one of NNI's: NODE_OPTIONS reaches every Node.js program that a shell starts.
'use strict';
const path = require('path');
module.exports = path.resolve(process.argv[1] || '').split(path.sep).includes('nni_node');
