/* The ledger: accounts with balances, their transfers, one transfer, the audit. Reads only: money moves by programs that can repeat themselves. */

const PAGE = 25;
let currencies = new Map();

/* How people write the amounts of each ledger. */
async function learnCurrencies() {
  try {
    const list = await askJson('/v1/ledger/currencies');
    currencies = new Map(list.currencies.map((c) => [c.ledger, c]));
  } catch (e) { /* as integers, then */ }
}

function money(text, ledger) {
  const c = currencies.get(ledger);
  if (!c) return amount(text);
  const negative = text.startsWith('-'), digits = (negative ? text.slice(1) : text).padStart(c.scale + 1, '0');
  const whole = digits.slice(0, digits.length - c.scale), part = digits.slice(digits.length - c.scale);
  return amount((negative ? '-' : '') + whole) + (part ? '.' + part : '') + (c.name ? '\u00a0' + c.name : '');
}

function moneyTable(rows, pick) {
  return el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'account'), ['ledger', 'code'].map((t) => el('th.wide', {}, t)),
    ['debits posted', 'credits posted'].map((t) => el('th.r.wide', {}, t)), ['credits − debits', 'pending'].map((t) => el('th.r', {}, t)), el('th', {}, 'limits'))),
  el('tbody', {}, rows.map((a) => {
    const net = BigInt(a.credits_posted) - BigInt(a.debits_posted);
    const pending = BigInt(a.debits_pending) + BigInt(a.credits_pending);
    return el('tr.pick', { tabindex: 0, onclick: () => pick(a.id), onkeydown: (e) => e.key === 'Enter' && pick(a.id) }, el('td.mono.id', {}, a.id), el('td.wide', {}, a.ledger), el('td.wide', {}, a.code),
      el('td.r.wide', {}, money(a.debits_posted, a.ledger)), el('td.r.wide', {}, money(a.credits_posted, a.ledger)), el('td.r', {}, money(String(net), a.ledger)),
      el('td.r', {}, pending > 0n ? money(String(pending), a.ledger) : '–'), el('td', {}, accountFlags(a.flags)));
  }))));
}

function accountFlags(flags) {
  const words = { debits_must_not_exceed_credits: 'never in debit', credits_must_not_exceed_debits: 'never in credit', closed: 'closed' };
  return flags.filter((f) => words[f]).map((f) => [el('span.tag' + (f === 'closed' ? '.warn' : ''), { title: f }, words[f]), ' ']);
}

/* On a phone without year and milliseconds. */
function clockSpans(timestamp) {
  const text = clock(timestamp);
  return [el('span.wide', {}, text.slice(0, 5)), text.slice(5, 19), el('span.wide', {}, text.slice(19))];
}

function transferTable(rows, account) {
  if (rows.length === 0) return el('p.quiet', {}, 'None.');
  const link = (id) => (id === account ? el('span.mono', {}, id) : el('a.mono', { href: '#/ledger/account/' + id }, id));
  return el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'time (UTC)'), el('th.wide', {}, 'transfer'), ['from (debit)', 'to (credit)'].map((t) => el('th', {}, t)), el('th.r', {}, 'amount'), el('th.wide', {}, 'code'), el('th', {}, 'state'))),
    el('tbody', {}, rows.map((t) => el('tr', {}, el('td', {}, el('a.plain', { href: '#/ledger/transfer/' + t.id }, clockSpans(t.timestamp))), el('td.mono.wide', {}, el('a', { href: '#/ledger/transfer/' + t.id }, t.id)),
      el('td.id', {}, link(t.debit_account_id)), el('td.id', {}, link(t.credit_account_id)),
      el('td.r', {}, account ? (t.debit_account_id === account ? '−' : '+') : '', money(t.amount, t.ledger)), el('td.wide', {}, t.code), el('td', {}, transferState(t)))))));
}

function transferState(t) {
  const level = { posted: 'good', pending_posted: 'good', pending: 'warn', refused: 'bad' }[t.state];
  return [el('span.tag' + (level ? '.' + level : ''), {}, t.state.replace('_', ' → ')), t.result ? el('span.quiet', {}, ' ', t.result.replaceAll('_', ' ')) : null];
}

function facts(pairs) {
  return el('dl.facts', {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

/* A list that grows by pages: load(next) answers {rows, next}. */
function paged(card, draw, load) {
  const rows = [], body = el('div', {}), more = el('button', { type: 'button', hidden: true }, 'More'), said = el('span.said', {});
  card.append(body, el('div.actions', {}, more, said));
  let next = '';
  const turn = async () => {
    more.disabled = true;
    try {
      const page = await load(next);
      rows.push(...page.rows);
      next = page.next || '';
      more.hidden = next === '';
      said.textContent = rows.length ? `${count(rows.length)} shown${next ? ', there are more' : ''}` : '';
      body.replaceChildren(draw(rows));
    } catch (e) {
      said.textContent = refusalText(e);
    }
    more.disabled = false;
  };
  more.addEventListener('click', turn);
  return turn();
}

const ledgerPage = {
  async open(view, [kind, id]) {
    const go = (form) => (event) => {
      event.preventDefault();
      const value = form.value.trim();
      if (value) location.hash = `#/ledger/${form.dataset.kind}/${encodeURIComponent(value)}`;
    };
    const account = el('input.mono', { 'data-kind': 'account', placeholder: 'id, or 0x…', spellcheck: 'false' });
    const transfer = el('input.mono', { 'data-kind': 'transfer', placeholder: 'id, or 0x…', spellcheck: 'false' });
    view.append(el('div', { style: { display: 'flex', gap: '0 22px', flexWrap: 'wrap', alignItems: 'end' } },
      el('form.row', { onsubmit: go(account) }, el('label', {}, 'Account', account), el('button', {}, 'Look up')),
      el('form.row', { onsubmit: go(transfer) }, el('label', {}, 'Transfer', transfer), el('button', {}, 'Look up'))));
    await learnCurrencies();
    if (kind === 'account') return this.account(view, decodeURIComponent(id));
    if (kind === 'transfer') return this.transfer(view, decodeURIComponent(id));
    return this.list(view);
  },
  list(view) {
    const verdict = el('div', {}), button = el('button.main', { type: 'button' }, 'Audit now');
    button.addEventListener('click', () => this.audit(button, verdict));
    view.append(el('section.card', {}, el('h2', {}, 'Audit', el('small', {}, 'one snapshot of every row: each balance is the sum of its postings, debits equal credits in every ledger')), verdict, el('div.actions', {}, button)));
    const accounts = el('section.card', {}, el('h2', {}, 'Accounts', el('small', {}, 'in the order of ids, all of one instant')));
    const transfers = el('section.card', {}, el('h2', {}, 'Transfers', el('small', {}, 'in the order of ids')));
    view.append(accounts, transfers);
    return Promise.all([
      paged(accounts, (rows) => (rows.length ? moneyTable(rows, (id) => { location.hash = '#/ledger/account/' + id; }) : el('p.quiet', {}, 'No account yet. POST /v1/ledger/accounts makes one.')), async (next) => {
        const page = await askJson(`/v1/ledger/accounts?limit=${PAGE}` + (next ? '&next=' + next : ''));
        return { rows: page.accounts, next: page.next };
      }),
      paged(transfers, (rows) => transferTable(rows), async (next) => {
        const page = await askJson(`/v1/ledger/transfers?limit=${PAGE}` + (next ? '&next=' + next : ''));
        return { rows: page.transfers, next: page.next };
      })]);
  },
  async audit(button, verdict) {
    button.disabled = true;
    verdict.replaceChildren(el('p.quiet', {}, 'Reading every row of one snapshot…'));
    const begun = performance.now();
    try {
      const a = await askJson('/v1/ledger/audit');
      verdict.replaceChildren(el('p', {}, el('span.tag.' + (a.proven ? 'good' : 'bad'), {}, a.proven ? 'proven' : plural(a.faults, 'fault')), ' ',
        `${plural(a.accounts, 'account')}, ${plural(a.transfers, 'transfer')}, ${plural(a.postings, 'posting')} as of ${clock(a.timestamp)} UTC, in ${durationText((performance.now() - begun) / 1000)}`,
        a.proven ? null : el('div.bad-text', {}, a.first_fault)),
      el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, 'ledger'), ['accounts', 'transfers', 'debits posted', 'credits posted', 'debits pending', 'credits pending'].map((t) => el('th.r', {}, t)))),
        el('tbody', {}, a.ledgers.map((l) => el('tr', {}, el('td', {}, l.ledger), el('td.r', {}, count(l.accounts)), el('td.r', {}, count(l.transfers)), el('td.r', {}, money(l.debits_posted, l.ledger)), el('td.r', {}, money(l.credits_posted, l.ledger)),
          el('td.r', {}, money(l.debits_pending, l.ledger)), el('td.r', {}, money(l.credits_pending, l.ledger))))))));
    } catch (e) {
      verdict.replaceChildren(el('p.bad-text', {}, refusalText(e)));
    }
    button.disabled = false;
  },
  async account(view, id) {
    const card = el('section.card', {}), history = el('section.card', {}, el('h2', {}, 'Transfers', el('small', {}, 'newest first')));
    view.append(card, history);
    try {
      const a = await askJson('/v1/ledger/accounts/' + encodeURIComponent(id));
      const net = BigInt(a.credits_posted) - BigInt(a.debits_posted);
      card.append(el('h2', {}, `Account ${a.id}`, accountFlags(a.flags)), facts([['credits − debits', el('span.money', {}, money(String(net), a.ledger))], ['credits posted', money(a.credits_posted, a.ledger)], ['debits posted', money(a.debits_posted, a.ledger)],
        ['credits pending', money(a.credits_pending, a.ledger)], ['debits pending', money(a.debits_pending, a.ledger)], ['ledger, code', `${a.ledger}, ${a.code}`], ['user data', [a.user_data_128, a.user_data_64, a.user_data_32].filter(Boolean).join(', ')],
        ['opened', clock(a.timestamp) + ' UTC'], ['as of', clock(a.as_of) + ' UTC']]));
      await paged(history, (rows) => transferTable(rows, a.id), async (next) => {
        const page = await askJson(`/v1/ledger/accounts/${encodeURIComponent(id)}/transfers?reverse=true&limit=${PAGE}` + (next ? '&next=' + next : ''));
        return { rows: page.transfers, next: page.next };
      });
    } catch (e) {
      card.append(el('p.bad-text', {}, refusalText(e)));
    }
  },
  async transfer(view, id) {
    const card = el('section.card', {});
    view.append(card);
    try {
      const t = await askJson('/v1/ledger/transfers/' + encodeURIComponent(id));
      const link = (account) => el('a.mono', { href: '#/ledger/account/' + account }, account);
      card.append(el('h2', {}, `Transfer ${t.id}`), facts([['amount', el('span.money', {}, money(t.amount, t.ledger))], ['state', transferState(t)], ['from (debit)', link(t.debit_account_id)], ['to (credit)', link(t.credit_account_id)], ['ledger, code', `${t.ledger}, ${t.code}`],
        ['flags', t.flags.join(', ')], ['pending transfer', t.pending_id], ['resolved by', t.resolved_by], ['timeout', t.timeout ? t.timeout + ' s' : ''], ['time', clock(t.timestamp) + ' UTC']]));
    } catch (e) {
      card.append(el('p.bad-text', {}, refusalText(e)));
    }
  },
};
