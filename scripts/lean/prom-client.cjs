// In the bundle, for prom-client: the kinds of metrics that upkeep has, without those that it has not, which load a cluster, a
// client of a push gateway, OpenTelemetry and trees for quantiles.
exports.Counter = require('../../node_modules/prom-client/lib/counter.js');
exports.Gauge = require('../../node_modules/prom-client/lib/gauge.js');
exports.Histogram = require('../../node_modules/prom-client/lib/histogram.js');
exports.Registry = require('../../node_modules/prom-client/lib/registry.js');
