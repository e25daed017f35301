/* The cluster at a glance: can it be written and read, how much may still fail, what limits it, what moves and why. */

function verdict(status) {
  const bear = status.can_lose, nodes = bear.storage_nodes, members = bear.metadata_servers;
  const each = (n, what) => (n === 0 ? 'no ' + what : plural(n, what));
  const may = nodes === 0 && members === 0 ? 'Nothing more may fail.' :
    `${each(nodes, 'storage node')} and ${each(members, 'metadata server')} may still fail without any interruption.`;
  if (!status.ready) return ['bad', 'Not everything can be written and read.', status.problems[0] || 'The cluster is starting.'];
  if (status.problems.length > 0 || nodes === 0 || members === 0)
    return ['warn', 'Everything can be written and read.', may[0].toUpperCase() + may.slice(1)];
  return ['good', 'Everything can be written and read.', may[0].toUpperCase() + may.slice(1)];
}

/* What would have to change for more to be done: [headline, explanation], most telling first. */
function limits() {
  const out = [], latest = state.history.at(-1) || { writes: 0, reads: 0 };
  const busy = state.ranges.map((r) => ({ r, n: r.writeRate + r.readRate })).sort((a, b) => b.n - a.n);
  const total = busy.reduce((sum, b) => sum + b.n, 0);
  for (const n of state.nodes.filter((node) => node.alive && (node.disk_full || node.disk_slow)))
    out.push([`The disk of node ${n.id} is ${n.disk_full ? 'full' : 'slow'}.`, n.disk_full ? 'Writes that add rows are refused there.' : `A log write takes ${durationText(n.disk_write_us / 1e6)}; it leads nothing that others can lead.`]);
  if (total >= 20 && state.ranges.length > 1 && busy[0].n > total * 0.5)
    out.push([`Range ${busy[0].r.id} takes ${Math.round(busy[0].n / total * 100)} % of all operations.`, `One range is one leader, one log: ${busy[0].r.keyspace} ${rangeText(busy[0].r)}. More come when it is split.`]);
  if (total >= 20) {
    const load = state.nodes.filter((n) => n.alive).map((n) => ({ n, sum: busy.filter((b) => b.r.leader === n.id).reduce((s, b) => s + b.n, 0) })).sort((a, b) => b.sum - a.sum);
    if (load.length > 1 && load[0].sum > total / load.length * 1.7 && out.length === 0)
      out.push([`Node ${load[0].n.id} leads ${Math.round(load[0].sum / total * 100)} % of the work.`, 'Leaderships are not spread by load at this moment.']);
  }
  const disks = state.nodes.filter((n) => n.alive && n.disk_write_us > 0).map((n) => n.disk_write_us).sort((a, b) => a - b);
  if (latest.writes > 0 && disks.length > 0)
    out.push([`A write waits for disks: ${durationText(disks[Math.floor(disks.length / 2)] / 1e6)} for a log write.`, 'The median of the nodes; a write needs a majority of them. Many writes share one.']);
  if (state.retries > 0) out.push([`${plural(state.retries, 'attempt')} had to be repeated just now.`, 'Leaders moved, or answered late.']);
  if (out.length === 0) out.push([total > 0 ? 'Nothing stands out.' : 'Nothing is asked of it at the moment.', '']);
  return out;
}

function figure(name, value, unit, under, values) {
  return el('div.figure', {}, el('div.name', {}, name), el('div.value', {}, value, unit ? el('small', {}, unit) : null),
    el('div.under', { title: under }, under), spark(values));
}

function figures() {
  const h = state.history, now = h.at(-1) || {}, known = [...h].reverse().find((p) => Number.isFinite(p.p99)) || {};
  const total = state.ranges.reduce((sum, r) => sum + r.bytes, 0), rows = state.ranges.reduce((sum, r) => sum + r.rows, 0);
  const [p50, p50unit] = duration(known.p50), [p99, p99unit] = duration(known.p99);
  return el('section.figures', {},
    figure('Writes', rate(now.writes), '/s', 'by all leaders', h.map((p) => p.writes)),
    figure('Reads', rate(now.reads), '/s', 'by all leaders', h.map((p) => p.reads)),
    figure('Median latency', p50, p50unit, 'data requests, this gateway', h.map((p) => p.p50)),
    figure('99th percentile', p99, p99unit, `${plural(state.inFlight || 0, 'request')} under way`, h.map((p) => p.p99)),
    figure('Failures', rate(now.errors), '/s', `of ${rate(now.answers)} answers/s here`, h.map((p) => p.errors)),
    figure('Kept', bytes(total), '', `${plural(rows, 'row')} in ${plural(state.ranges.length, 'range')}`, h.map((p) => p.kept)));
}

function operatorLine(o) {
  const where = o.from && o.to ? `node ${o.from} → node ${o.to}` : o.to ? `to node ${o.to}` : o.from ? `from node ${o.from}` : '';
  return el('li', {}, el('b', {}, `${o.kind} range ${o.range}`), ' ', where, o.percent > 0 ? `, ${o.percent} %` : '',
    el('div.quiet', {}, [o.why, o.step].filter(Boolean).join(' · ')));
}

function moves() {
  const running = state.operators.filter((o) => o.state === 'running');
  const notes = (state.scheduler ? state.scheduler.notes : []).filter((n) => n.text).slice(0, running.length ? 3 : 6);
  const ended = state.operators.filter((o) => o.state !== 'running').slice(0, 4);
  return el('section.card', {}, el('h2', {}, 'What moves, and why', el('small', {}, running.length ? plural(running.length, 'operator') + ' at work' : 'nothing at the moment')),
    el('ul.notes', {}, running.slice(0, 8).map(operatorLine),
      notes.map((n) => el('li', {}, el('b', {}, n.name || 'scheduler'), ' ', el('span.quiet', {}, n.count > 1 ? `${n.text} (${count(n.count)} ranges)` : n.text))),
      running.length === 0 && notes.length === 0 ? ended.map((o) => el('li', {}, `${o.kind} range ${o.range} `, stateTag(o.state), el('div.quiet', {}, o.why))) : null,
      running.length + notes.length + ended.length === 0 ? el('li.quiet', {}, 'Every range is where it should be.') : null));
}

function endpointTable() {
  const seconds = Math.max(0.001, (state.totalsAt - (state.before || state.totalsAt)) / 1000);
  const rows = state.endpoints.filter((e) => isData(e.name)).sort((a, b) => b.answers - a.answers).slice(0, 8);
  if (rows.length === 0) return el('p.quiet', {}, 'No data request has been answered by this gateway in the last moments.');
  return el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'endpoint'), ['/s', 'median', '99 %', '4xx', '5xx'].map((t) => el('th.r', {}, t)))),
    el('tbody', {}, rows.map((e) => el('tr', {}, el('td.mono', {}, e.name), el('td.r', {}, rate(e.answers / seconds)), el('td.r', {}, durationText(quantile(e.buckets, 0.5))),
      el('td.r', {}, durationText(quantile(e.buckets, 0.99))), el('td.r', {}, count(e.refusals)), el(e.errors > 0 ? 'td.r.bad-text' : 'td.r', {}, count(e.errors)))))));
}

const overview = {
  heat: 'both',
  open(view) {
    this.head = el('div', {});
    this.numbers = el('div', {});
    this.map = el('section.card', {});
    this.lower = el('div.split', {});
    this.canvas = el('canvas', { 'aria-label': 'operations per range over time', 'data-tip': '' });
    this.top = el('span', {});
    this.since = el('span', {});
    const choose = (what) => el('button', { type: 'button', 'aria-pressed': String(this.heat === what), onclick: (event) => {
      this.heat = what;
      for (const b of event.target.parentNode.children) b.setAttribute('aria-pressed', String(b === event.target));
      this.show();
    } }, what);
    const heat = el('section.card', {}, el('h2', {}, 'Key heat', el('small', {}, 'ranges in key order, over time'), el('span.seg', {}, ['both', 'reads', 'writes'].map(choose))),
      this.canvas, el('div.axis', {}, this.since, el('span', {}, 'none', el('i.ramp', {}), this.top), el('span', {}, 'now')));
    this.side = el('section.card', {});
    view.append(this.head, this.numbers, this.map, el('div.split', {}, heat, this.side), this.lower);
    this.show();
  },
  show() {
    if (!state.status) return;
    const [level, title, text] = verdict(state.status);
    this.head.replaceChildren(el('div.verdict.' + level, {}, el('span.dot', {}), el('div', {}, el('h1', {}, title), el('p', {}, text))),
      state.status.problems.length ? el('ul.notes.problems', {}, state.status.problems.map((p) => el('li', {}, p))) : '');
    this.numbers.replaceChildren(figures());
    this.map.replaceChildren(el('h2', {}, 'Key space', el('small', {}, 'each range in key order, as wide as it is large, in the colour of the node that leads it')), spaceMap(), nodeLegend());
    this.side.replaceChildren(el('h2', {}, 'What limits throughput'), el('ul.notes', {}, limits().map(([head, why]) => el('li', {}, el('b', {}, head), why ? el('div.quiet', {}, why) : null))));
    this.lower.replaceChildren(moves(), el('section.card', {}, el('h2', {}, 'Requests', el('small', {}, 'of this gateway, in the last two seconds')), endpointTable()));
    this.since.textContent = durationText(shownColumns() * POLL_MS / 1000) + ' ago';
    this.top.textContent = rate(heatMap(this.canvas, this.heat)) + '/s';
  },
};
