/* Pictures: a line of recent values, the key space as a strip per keyspace, heat over time. */

const nodeColour = (id) => (id === 0 ? 'var(--nx)' : `var(--n${(id - 1) % 9})`);
const chip = (id, hollow) => el(hollow ? 'i.chip.hollow' : 'i.chip', { style: { background: nodeColour(id) } });

/* A page that was just opened is not mostly empty: the window grows to HISTORY with what is known. */
const shownColumns = () => Math.min(HISTORY, Math.max(30, Math.ceil(state.history.length / 30) * 30));

function spark(values) {
  const width = 120, height = 26, known = values.filter((v) => Number.isFinite(v));
  const top = Math.max(...known, 1e-9);
  let line = '', pen = 'M', last = 0;
  values.forEach((v, i) => {
    if (!Number.isFinite(v)) { pen = 'M'; return; }
    const x = width - (values.length - 1 - i) * (width / (shownColumns() - 1));
    line += `${pen}${x.toFixed(1)} ${(height - 2 - (v / top) * (height - 4)).toFixed(1)}`;
    pen = 'L';
    last = x;
  });
  const picture = svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  if (known.length > 1) {
    const first = /M([\d.]+)/.exec(line)[1];
    if (line.lastIndexOf('M') === 0) picture.append(svg('path', { class: 'area', d: `${line}L${last.toFixed(1)} ${height}L${first} ${height}Z` }));
    picture.append(svg('path', { d: line }));
  }
  return picture;
}

/* --- the key space --- */

const keyspaceOf = (name) => state.keyspaces.find((k) => k.name === name);

/* A bound as a person reads it; of a keyspace by hash: which bucket. */
function boundText(range, binary, edge) {
  if (binary === '') return edge;
  const keyspace = keyspaceOf(range.keyspace);
  if (keyspace && keyspace.partition === 'hash') return 'bucket ' + binary.charCodeAt(0) + (binary.length > 1 ? ' ' + keyText(binary.slice(1)) : '');
  return keyText(binary);
}
const rangeText = (r) => `${boundText(r, r.from, 'first')} … ${boundText(r, r.to, 'last')}`;

const aliveNode = (id) => state.nodes.some((n) => n.id === id && n.alive);
const rangeLost = (r) => r.replicas.filter((p) => p.role !== 'learner' && aliveNode(p.node)).length <
  Math.floor(r.replicas.filter((p) => p.role !== 'learner').length / 2) + 1;

function rangeTip(r) {
  const followers = r.replicas.filter((p) => p.node !== r.leader).map((p) => p.node + (p.role === 'voter' ? '' : ' (' + p.role + ')'));
  return `range ${r.id}   ${rangeText(r)}\n` + (r.leader ? `led by node ${r.leader}` : 'no leader known') + `, replicas also on ${followers.join(', ') || 'no other'}\n` +
    `${bytes(r.bytes)}, ${plural(r.rows, 'row')}\n${rate(r.writeRate)} writes/s, ${rate(r.readRate)} reads/s` + (rangeLost(r) ? '\nits majority is not there' : '');
}

function spaceMap() {
  const names = [...new Set(state.ranges.map((r) => r.keyspace))];
  return el('div.space', {}, names.map((name) => {
    const ranges = state.ranges.filter((r) => r.keyspace === name);
    const total = ranges.reduce((sum, r) => sum + r.bytes, 0);
    const strip = el('div.strip', {}, ranges.map((r) => el(rangeLost(r) ? 'i.lost' : 'i', {
      'data-tip': rangeTip(r),
      style: { flex: `${100 * (total > 0 ? r.bytes / total : 0) + 35 / ranges.length} 1 0`, background: nodeColour(r.leader) },
    })));
    const kept = keyspaceOf(name);
    return el('div', {}, el('div.name', { title: name }, name, kept && kept.dropped ? el('span.tag.warn', {}, 'dropped') : null), strip,
      el('div.sum', {}, plural(ranges.length, 'range'), ' · ', bytes(total)));
  }));
}

function nodeLegend() {
  return el('div.legend', {}, state.nodes.map((n) => el('span', {}, chip(n.id), `node ${n.id}`, n.alive ? '' : ' (down)')),
    state.ranges.some((r) => r.leader === 0) ? el('span', {}, chip(0), 'no leader known') : null);
}

/* --- heat: rows are today's ranges in key order, columns moments; a range that was split is looked up where its keys were then --- */

const HEAT_ROWS = 240;
const heatOf = { writes: (r) => r.writes, reads: (r) => r.reads, both: (r) => r.writes + r.reads };

function heatAt(column, order) {
  const rows = column.rows;
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].order <= order) low = middle + 1; else high = middle;
  }
  return low > 0 ? rows[low - 1] : null;
}

function heatMap(canvas, what) {
  const ranges = state.ranges, per = Math.max(1, Math.ceil(ranges.length / HEAT_ROWS)), rows = Math.ceil(ranges.length / per);
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth || 600, height = Math.max(96, Math.min(300, rows * 14));
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.height = height + 'px';
  const context = canvas.getContext('2d'), colour = getComputedStyle(document.documentElement).getPropertyValue('--heat').trim();
  const cells = state.heat.map((column) => {
    const cell = new Array(rows).fill(0);
    ranges.forEach((r, i) => {
      const then = heatAt(column, r.order);
      if (then !== null) cell[Math.floor(i / per)] += heatOf[what](then);
    });
    return cell;
  });
  const top = Math.max(1, ...cells.flat());
  const w = canvas.width / shownColumns(), h = canvas.height / Math.max(rows, 1), gap = h > 6 * scale ? scale : 0;
  cells.forEach((cell, column) => cell.forEach((value, row) => {
    if (value <= 0) return;
    context.fillStyle = `rgba(${colour}, ${(0.06 + 0.94 * Math.sqrt(value / top)).toFixed(3)})`;
    const x = Math.floor(canvas.width - (cells.length - column) * w), y = Math.floor(row * h);
    context.fillRect(x, y, Math.floor(canvas.width - (cells.length - column - 1) * w) - x, Math.floor((row + 1) * h) - y - gap);
  }));
  canvas.onpointermove = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / box.height * rows);
    const column = cells.length - Math.ceil((box.right - event.clientX) / box.width * shownColumns());
    const range = ranges[row * per];
    if (range === undefined || cells[column] === undefined) { canvas.dataset.tip = ''; return; }
    const ago = Math.round((state.polled - state.heat[column].at) / 1000);
    canvas.dataset.tip = `${range.keyspace}   ${rangeText(range)}${per > 1 ? ` and ${per - 1} more` : ''}\n` +
      `${rate(cells[column][row])} ${what === 'both' ? 'operations' : what}/s, ${ago === 0 ? 'now' : ago + ' s ago'}`;
  };
  return top;
}
