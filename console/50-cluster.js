/* Tables: ranges, nodes, operators. */

function stateTag(text) {
  const level = { running: 'good', done: '', void: '', cancelled: 'warn', failed: 'bad' }[text] ?? '';
  return el('span.tag' + (level ? '.' + level : ''), {}, text);
}

/* columns: [title, class, value to sort by, cell]. Sorting stays over redraws. */
function sortedTable(keeper, columns, rows, attributes) {
  const [column, down] = keeper.sort || [0, false];
  const by = columns[column][2];
  const sorted = by ? [...rows].sort((a, b) => {
    const x = by(a), y = by(b);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  }) : rows;
  const head = columns.map(([title, style, key], i) => el('th' + (style ? '.' + style : ''), key ? { 'data-sort': '', onclick: () => {
    keeper.sort = [i, keeper.sort && keeper.sort[0] === i ? !keeper.sort[1] : style === 'r'];
    keeper.show();
  } } : {}, title, key && column === i ? (down ? ' ↓' : ' ↑') : ''));
  return el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head)),
    el('tbody', {}, sorted.map((row) => el('tr', attributes ? attributes(row) : {}, columns.map(([, style, , cell]) => el('td' + (style ? '.' + style : ''), {}, cell(row))))))));
}

const ROWS_SHOWN = 500;

const rangesPage = {
  sort: null,
  open(view) {
    this.filter = el('input', { type: 'search', placeholder: 'keyspace, key, id or node', oninput: () => this.show() });
    this.body = el('section.card', {});
    view.append(el('form.row', { onsubmit: (e) => e.preventDefault() }, el('label.grow', {}, 'Show those with', this.filter)), this.body);
    this.show();
  },
  show() {
    const text = this.filter.value.trim().toLowerCase();
    const rows = state.ranges.filter((r) => text === '' || String(r.id) === text || `node ${r.leader}` === text ||
      r.keyspace.includes(text) || rangeText(r).toLowerCase().includes(text));
    const columns = [
      ['keyspace', '', (r) => r.order, (r) => r.keyspace],
      ['id', 'r', (r) => r.id, (r) => r.id],
      ['from', 'key', null, (r) => boundText(r, r.from, '–')],
      ['to', 'key', null, (r) => boundText(r, r.to, '–')],
      ['leader', '', (r) => r.leader, (r) => (r.leader ? [chip(r.leader), `node ${r.leader}`] : el('span.tag.warn', {}, 'none known'))],
      ['replicas', '', null, (r) => [r.replicas.map((p) => el('span', { title: `node ${p.node}: ${p.role}` }, chip(p.node, p.role !== 'voter' || !aliveNode(p.node)))),
        rangeLost(r) ? el('span.tag.bad', {}, 'no majority') : null]],
      ['size', 'r', (r) => r.bytes, (r) => bytes(r.bytes)],
      ['rows', 'r', (r) => r.rows, (r) => count(r.rows)],
      ['writes/s', 'r', (r) => r.writeRate, (r) => rate(r.writeRate)],
      ['reads/s', 'r', (r) => r.readRate, (r) => rate(r.readRate)],
      ['term', 'r', (r) => r.term, (r) => r.term],
    ];
    this.body.replaceChildren(el('h2', {}, plural(rows.length, 'range'), rows.length > ROWS_SHOWN ? el('small', {}, `the first ${ROWS_SHOWN}`) : null),
      sortedTable(this, columns, rows.slice(0, ROWS_SHOWN)));
  },
};

function nodeTags(n) {
  const tags = [n.alive ? ['good', 'up'] : ['bad', 'down']];
  if (n.drained) tags.push(['warn', 'drained']);
  if (n.leaving) tags.push(['warn', 'decommissioned']);
  if (n.maintenance) tags.push(['warn', 'in maintenance']);
  if (n.disk_slow) tags.push(['bad', 'disk slow']);
  if (n.disk_full) tags.push(['bad', 'disk full']);
  else if (n.disk_tight) tags.push(['warn', 'disk nearly full']);
  return tags.map(([level, text]) => [el('span.tag.' + level, {}, text), ' ']);
}

const nodesPage = {
  sort: null,
  open(view) {
    this.body = el('section.card', {});
    this.members = el('section.card', {});
    view.append(this.body, this.members);
    this.show();
  },
  show() {
    if (!state.status) return;
    const rates = (n) => state.ranges.filter((r) => r.leader === n.id).reduce((sum, r) => sum + r.writeRate + r.readRate, 0);
    const columns = [
      ['node', '', (n) => n.id, (n) => [chip(n.id), `node ${n.id}`]],
      ['address', 'mono', (n) => n.address, (n) => n.address],
      ['where', '', (n) => n.host, (n) => n.host],
      ['state', '', null, nodeTags],
      ['leads', 'r', (n) => n.leaders, (n) => count(n.leaders)],
      ['replicas', 'r', (n) => n.ranges, (n) => count(n.ranges)],
      ['operations/s', 'r', rates, (n) => rate(rates(n))],
      ['data', 'r', (n) => n.bytes, (n) => bytes(n.bytes)],
      ['disk', '', (n) => (n.disk_total ? n.disk_free / n.disk_total : 1), (n) => {
        if (!n.disk_total) return '–';
        const used = 1 - n.disk_free / n.disk_total;
        return [el('span.meter', {}, el('i' + (n.disk_full ? '.bad' : n.disk_tight ? '.warn' : ''), { style: { width: (used * 100).toFixed(1) + '%' } })), `${bytes(n.disk_free)} free`];
      }],
      ['log write', 'r', (n) => n.disk_write_us, (n) => (n.disk_write_us ? durationText(n.disk_write_us / 1e6) : '–')],
    ];
    const meta = state.status.meta;
    this.body.replaceChildren(el('h2', {}, `${state.status.nodes_alive} of ${plural(state.status.nodes, 'storage node')} up`), sortedTable(this, columns, state.nodes));
    this.members.replaceChildren(el('h2', {}, 'Metadata service', el('small', {}, `term ${meta.term}, ${count(meta.applied)} entries applied, map version ${meta.map_version}`)),
      el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, ['member', 'address', 'state'].map((t) => el('th', {}, t)))),
        el('tbody', {}, meta.members.map((m) => el('tr', {}, el('td', {}, m.id), el('td.mono', {}, m.address),
          el('td', {}, el('span.tag.' + (m.healthy ? 'good' : 'bad'), {}, m.healthy ? 'answers' : 'does not answer'), ' ', m.id === meta.leader ? el('span.tag', {}, 'leads') : null)))))),
      el('p.quiet', {}, `cluster ${state.status.cluster}`));
  },
};

const operatorsPage = {
  open(view) {
    this.body = el('div', {});
    view.append(this.body);
    this.show();
  },
  table(title, empty, rows, cancel) {
    const detail = ['id', 'from', 'to', 'began']; /* left out where there is no room */
    const time = (ms) => (ms ? new Date(ms).toISOString().slice(11, 19) : '–');
    return el('section.card', {}, el('h2', {}, title), rows.length === 0 ? el('p.quiet', {}, empty) : el('div.scroll', {}, el('table', {},
      el('thead', {}, el('tr', {}, ['id', 'what', 'range', 'from', 'to', 'state', 'began', 'why', 'step', ''].map((t) => el('th' + (detail.includes(t) ? '.wide' : ''), {}, t)))),
      el('tbody', {}, rows.map((o) => el('tr', {}, el('td.wide', {}, o.id), el('td', {}, o.kind), el('td', {}, o.range), el('td.wide', {}, o.from || '–'), el('td.wide', {}, o.to || '–'),
        el('td', {}, stateTag(o.state), o.percent ? ` ${o.percent} %` : ''), el('td.wide', {}, time(o.began_ms)), el('td.wrap', {}, o.why || '–'), el('td.wrap', {}, o.step || '–'),
        el('td', {}, cancel ? el('button', { type: 'button', onclick: () => this.cancel(o.id) }, 'Cancel') : null)))))));
  },
  async cancel(id) {
    if (!confirm(`Cancel operator ${id}? What it has done so far stays, and is cleaned up.`)) return;
    try { await ask('/v1/operators/' + id, { method: 'DELETE' }); } catch (e) { alert(refusalText(e)); }
  },
  show() {
    if (!state.scheduler) return;
    const s = state.scheduler;
    const note = (n) => el('li', {}, el('b', {}, n.name || 'scheduler'), ' ', n.text, n.count > 1 ? el('span.quiet', {}, ` · ${count(n.count)} ranges`) : null, n.range ? el('span.quiet', {}, ` · range ${n.range}`) : null);
    this.body.replaceChildren(
      this.table('Under way', 'No replica, leadership or range is being changed.', state.operators.filter((o) => o.state === 'running'), true),
      el('section.card', {}, el('h2', {}, 'What the scheduler thinks', el('small', {}, `round ${count(s.rounds)}, the last took ${durationText(s.round_us / 1e6)}`)),
        el('ul.notes', {}, s.notes.length ? s.notes.map(note) : el('li.quiet', {}, 'Nothing is to be done.'))),
      this.table('Ended', 'None yet.', state.operators.filter((o) => o.state !== 'running').slice(0, 200), false));
  },
};
