/* Keys of a keyspace: pages of a scan, one value, a change that is refused when somebody else was faster. */

const KEYS_PAGE = 50;

const binaryOf = (buffer) => Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join('');
const bufferOf = (binary) => Uint8Array.from(binary, (c) => c.charCodeAt(0));

/* The value as it is best read and edited: [how, text]. */
function valueText(binary) {
  let text;
  try { text = decodeURIComponent(escape(binary)); } catch (e) { return ['hex', binary]; }
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(text)) return ['hex', binary];
  if (/^\s*[[{]/.test(text)) {
    try { return ['JSON', text, JSON.stringify(JSON.parse(text), null, 2)]; } catch (e) { /* only looks like it */ }
  }
  return ['text', text];
}

function hexDump(binary) {
  const lines = [];
  for (let at = 0; at < Math.min(binary.length, 8192); at += 16) {
    const part = Array.from(binary.slice(at, at + 16));
    lines.push(at.toString(16).padStart(6, '0') + '  ' + part.map((c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join(' ').padEnd(48) + ' ' +
      part.map((c) => (c >= ' ' && c <= '~' ? c : '·')).join(''));
  }
  return lines.join('\n') + (binary.length > 8192 ? '\n…' : '');
}

const keysPage = {
  keyspace: 'default', prefix: '',
  open(view, [keyspace, prefix]) {
    if (keyspace) this.keyspace = decodeURIComponent(keyspace);
    if (prefix !== undefined) this.prefix = decodeURIComponent(prefix);
    this.choice = el('select', { onchange: () => this.go() });
    this.input = el('input.mono', { placeholder: 'all', value: this.prefix, spellcheck: 'false', autocapitalize: 'off' });
    this.rows = el('section.card', {});
    this.detail = el('section.card', {}, el('h2', {}, 'Value'), el('p.quiet', {}, 'Choose a key, or name a new one.'));
    view.append(el('form.row', { onsubmit: (e) => { e.preventDefault(); this.go(); } }, el('label.short', {}, 'Keyspace', this.choice), el('label.grow', {}, 'Keys that begin with', this.input),
      el('button.main', {}, 'Show'), el('button', { type: 'button', onclick: () => this.create() }, 'New key')), el('div.split', {}, this.rows, this.detail));
    this.show();
    return this.scan();
  },
  go() {
    this.prefix = this.input.value;
    this.keyspace = this.choice.value || this.keyspace;
    const hash = `#/keys/${encodeURIComponent(this.keyspace)}/${encodeURIComponent(this.prefix)}`;
    if (location.hash === hash) openPage(); else location.hash = hash;
  },
  show() { /* keyspaces come and go */
    const names = state.keyspaces.filter((k) => !k.dropped).map((k) => k.name);
    if (!names.includes(this.keyspace)) names.unshift(this.keyspace);
    if (names.join() === this.names && this.choice.options.length) return;
    this.names = names.join();
    this.choice.replaceChildren(...names.map((name) => el('option', { value: name, selected: name === this.keyspace }, name)));
  },
  scan() {
    this.rows.replaceChildren(el('h2', {}, 'Keys', el('small', {}, 'in key order; each page as new as its asking')));
    return paged(this.rows, (rows) => (rows.length === 0 ? el('p.quiet', {}, 'No key here.') : el('div.scroll', {}, el('table', {},
      el('thead', {}, el('tr', {}, el('th', {}, 'key'), el('th', {}, 'value'), el('th.r', {}, 'size'))),
      el('tbody', {}, rows.map((row) => {
        const key = keyBytes(row, 'key'), value = keyBytes(row, 'value');
        const open = () => this.value(key);
        return el('tr.pick' + (this.current === key ? '.on' : ''), { tabindex: 0, onclick: open, onkeydown: (e) => e.key === 'Enter' && open() }, el('td.key', { title: keyText(key) }, keyText(key)),
          el('td.key.quiet', {}, keyText(value.slice(0, 80))), el('td.r', {}, count(value.length)));
      }))))), async (next) => {
      const query = new URLSearchParams({ limit: KEYS_PAGE, ...(this.prefix ? { prefix: this.prefix } : {}), ...(next ? { next } : {}) });
      return askJson(`/v1/kv/${encodeURIComponent(this.keyspace)}?${query}`).then((page) => ({ rows: page.rows, next: page.next }));
    });
  },
  path(key) { return `/v1/kv/${encodeURIComponent(this.keyspace)}/${keyInPath(key)}`; },
  async value(key) {
    this.current = key;
    const head = el('h2', {}, el('span.mono', { style: { overflowWrap: 'anywhere' } }, keyText(key)));
    this.detail.replaceChildren(head, el('p.quiet', {}, 'Reading…'));
    if (innerWidth < 1000) this.detail.scrollIntoView({ block: 'start' });
    try {
      const response = await ask(this.path(key));
      const binary = binaryOf(await response.arrayBuffer()), etag = response.headers.get('ETag');
      this.editor(key, head, binary, etag);
    } catch (e) {
      this.detail.replaceChildren(head, el('p.bad-text', {}, refusalText(e)));
    }
  },
  editor(key, head, binary, etag) {
    const [how, text, pretty] = valueText(binary), version = etag.replaceAll('"', '');
    const about = facts([['version', el('span', {}, version)], ['written', clock(version) + ' UTC'], ['size', plural(binary.length, 'byte')], ['as', how]]);
    const said = el('span.said', {});
    const act = (what, options) => async () => {
      try {
        await ask(this.path(key), options());
        said.textContent = what;
        said.className = 'said good-text';
        if (options().method === 'PUT') setTimeout(() => this.current === key && this.value(key), 500);
        else this.scan();
      } catch (e) {
        said.className = 'said bad-text';
        said.textContent = e.status === 412 ? 'Not done: it has been changed since it was read. Read it again.' : refusalText(e);
      }
    };
    const remove = el('button.danger', { type: 'button' }, 'Delete');
    const removeIt = act('Deleted.', () => ({ method: 'DELETE', headers: { 'If-Match': etag, 'Idempotency-Key': newId() } }));
    remove.addEventListener('click', () => confirm('Delete this key?') && removeIt());
    if (how === 'hex') {
      this.detail.replaceChildren(head, about, el('pre.mono', { style: { overflowX: 'auto', margin: 0 } }, hexDump(binary)), el('div.actions', {}, remove, said));
      return;
    }
    const area = el('textarea', { spellcheck: 'false', 'aria-label': 'value' });
    area.value = text;
    const save = el('button.main', { type: 'button', disabled: true, onclick: act('Saved.', () => ({ method: 'PUT', body: area.value, headers: { 'If-Match': etag, 'Idempotency-Key': newId() } })) }, 'Save');
    area.addEventListener('input', () => { save.disabled = area.value === text; });
    const tidy = pretty && pretty !== text ? el('button', { type: 'button', onclick: () => { area.value = area.value === pretty ? text : pretty; save.disabled = area.value === text; } }, 'Indent') : null;
    this.detail.replaceChildren(head, about, area, el('div.actions', {}, save, tidy, remove, said));
  },
  create() {
    const key = el('input.mono', { spellcheck: 'false', value: this.prefix }), area = el('textarea', { spellcheck: 'false' }), said = el('span.said', {});
    this.current = null;
    const save = async () => {
      const binary = unescape(encodeURIComponent(key.value));
      if (binary === '') { said.textContent = 'A key has at least one byte.'; return; }
      try {
        await ask(this.path(binary), { method: 'PUT', body: area.value, headers: { 'If-None-Match': '*', 'Idempotency-Key': newId() } });
        await this.scan();
        await this.value(binary);
      } catch (e) {
        said.className = 'said bad-text';
        said.textContent = e.status === 412 ? 'Not done: the key is there already.' : refusalText(e);
      }
    };
    this.detail.replaceChildren(el('h2', {}, 'New key in ', this.keyspace), el('label', {}, 'Key', key), el('label', { style: { marginTop: '10px' } }, 'Value', area), el('div.actions', {}, el('button.main', { type: 'button', onclick: save }, 'Put'), said));
    key.focus();
  },
};

/* One for each press of a button: a repetition by the browser acts once. */
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
