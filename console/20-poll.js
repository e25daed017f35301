/* The state of the cluster as this page knows it, and the rates that follow from two looks at the counters. */

const POLL_MS = 2000;
const HISTORY = 150;

const state = {
  status: null, nodes: [], ranges: [], keyspaces: [], operators: [], scheduler: null,
  history: [], /* {at, reads, writes, p50, p99, answers, errors}, oldest first */
  heat: [],    /* {at, rows: [{order, reads, writes}]}: of each range in key order */
  endpoints: [], failed: null, polled: 0,
};

/* --- counters of this gateway: Prometheus text --- */

function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+|\+Inf)$/i.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || '').matchAll(/([a-z_]+)="([^"]*)"/g)) labels[name] = value;
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

/* Per endpoint: how many answers, how many of them failures of the server, and the histogram. */
function endpointTotals(metrics) {
  const totals = new Map();
  const of = (name) => {
    if (!totals.has(name)) totals.set(name, { answers: 0, errors: 0, refusals: 0, seconds: 0, buckets: new Map() });
    return totals.get(name);
  };
  for (const { labels, value } of metrics.get('quorate_gateway_requests_total') || []) {
    const t = of(labels.endpoint);
    t.answers += value;
    if (labels.code >= '500') t.errors += value;
    else if (labels.code >= '400') t.refusals += value;
  }
  for (const { labels, value } of metrics.get('quorate_gateway_request_seconds_bucket') || [])
    of(labels.endpoint).buckets.set(labels.le === '+Inf' ? Infinity : Number(labels.le), value);
  for (const { labels, value } of metrics.get('quorate_gateway_request_seconds_sum') || []) of(labels.endpoint).seconds = value;
  return totals;
}

/* Within the bucket as if evenly spread: what Prometheus does, too. */
function quantile(buckets, q) {
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  if (bounds.length === 0) return NaN;
  const target = buckets.get(Infinity) * q;
  let below = 0, from = 0;
  for (const bound of bounds) {
    const upto = buckets.get(bound);
    if (upto >= target && upto > 0) {
      if (bound === Infinity) return from;
      return from + (bound - from) * (upto === below ? 1 : (target - below) / (upto - below));
    }
    below = upto;
    from = bound;
  }
  return NaN;
}

function subtract(now, before) {
  const out = new Map();
  for (const [name, t] of now) {
    const b = before.get(name) || { answers: 0, errors: 0, refusals: 0, seconds: 0, buckets: new Map() };
    if (t.answers < b.answers) return null; /* another gateway, or it was started again */
    const buckets = new Map();
    for (const [bound, n] of t.buckets) buckets.set(bound, n - (b.buckets.get(bound) || 0));
    out.set(name, { answers: t.answers - b.answers, errors: t.errors - b.errors, refusals: t.refusals - b.refusals, seconds: t.seconds - b.seconds, buckets });
  }
  return out;
}

const isData = (name) => /^(kv|scan|txn|ledger|watch|v3)/.test(name);

function measureGateway(metrics, at) {
  const totals = endpointTotals(metrics);
  const before = state.totals;
  state.totals = totals;
  state.totalsAt = at;
  const one = (name) => ((metrics.get(name) || [])[0] || { value: 0 }).value;
  state.inFlight = one('quorate_gateway_in_flight');
  state.retries = one('quorate_client_retries_total') - (state.retriesTotal ?? one('quorate_client_retries_total'));
  state.retriesTotal = one('quorate_client_retries_total');
  const change = before ? subtract(totals, before) : null;
  if (change === null) return null;
  const sum = { answers: 0, errors: 0, buckets: new Map() };
  for (const [name, t] of change) {
    if (!isData(name)) continue;
    sum.answers += t.answers;
    sum.errors += t.errors;
    for (const [bound, n] of t.buckets) sum.buckets.set(bound, (sum.buckets.get(bound) || 0) + n);
  }
  state.endpoints = [...change].filter(([, t]) => t.answers > 0).map(([name, t]) => ({ name, ...t }));
  return sum;
}

/* --- ranges: rates from the counters of their leaders --- */

function orderRanges(ranges) {
  for (const r of ranges) {
    r.from = keyBytes(r, 'start');
    r.to = keyBytes(r, 'end');
    r.order = r.keyspace + '\u0000' + r.from;
  }
  return ranges.sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
}

function measureRanges(ranges, seconds) {
  const before = new Map(state.ranges.map((r) => [r.id, r]));
  for (const r of ranges) {
    const b = before.get(r.id);
    /* Another leader counts from its own beginning: until its second report the former rates stand. */
    const same = b !== undefined && b.leader === r.leader && r.writes >= b.writes && r.reads >= b.reads && seconds > 0;
    r.readRate = same ? (r.reads - b.reads) / seconds : b ? b.readRate : 0;
    r.writeRate = same ? (r.writes - b.writes) / seconds : b ? b.writeRate : 0;
  }
  return ranges;
}

/* --- the poll --- */

function remember(at, gateway) {
  const sum = (field) => state.ranges.reduce((total, r) => total + r[field], 0);
  const elapsed = (at - (state.before || at)) / 1000;
  state.history.push({
    at, reads: sum('readRate'), writes: sum('writeRate'), kept: sum('bytes'),
    answers: gateway && elapsed > 0 ? gateway.answers / elapsed : 0, errors: gateway && elapsed > 0 ? gateway.errors / elapsed : 0,
    p50: gateway ? quantile(gateway.buckets, 0.5) : NaN, p99: gateway ? quantile(gateway.buckets, 0.99) : NaN,
  });
  state.heat.push({ at, rows: state.ranges.map((r) => ({ order: r.order, reads: r.readRate, writes: r.writeRate })) });
  if (state.history.length > HISTORY) state.history.shift();
  if (state.heat.length > HISTORY) state.heat.shift();
}

async function poll() {
  const begun = performance.now();
  const [status, ranges, nodes, operators, keyspaces, metrics] = await Promise.all([
    askJson('/v1/status?timeout_ms=4000'), askJson('/v1/ranges?timeout_ms=4000'), askJson('/v1/nodes?timeout_ms=4000'),
    askJson('/v1/operators?timeout_ms=4000'), askJson('/v1/keyspaces?timeout_ms=4000'), ask('/metrics').then((r) => r.text()),
  ]);
  const at = Date.now();
  state.before = state.polled;
  state.ranges = measureRanges(orderRanges(ranges.ranges), state.polled ? (at - state.polled) / 1000 : 0);
  state.status = status;
  state.nodes = nodes.nodes;
  state.operators = operators.operators;
  state.scheduler = operators.scheduler;
  state.keyspaces = keyspaces.keyspaces;
  const gateway = measureGateway(parseMetrics(metrics), at);
  if (state.polled) remember(at, gateway);
  state.polled = at;
  return performance.now() - begun;
}

let pollNow = () => {}; /* ends the pause */

async function pollForEver(show) {
  for (;;) {
    let took = 0;
    if (!document.hidden && !session.wanted) {
      try {
        took = await poll();
        state.failed = null;
      } catch (e) {
        state.failed = e;
      }
      show();
    }
    /* A large cluster's map takes long to make and to read: it is asked for less often. */
    await new Promise((done) => { pollNow = done; setTimeout(done, Math.max(POLL_MS, took * 5)); });
  }
}
