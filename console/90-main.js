/* Which page is shown, light or dark, the pulse. */

const pages = { '': overview, ranges: rangesPage, nodes: nodesPage, operators: operatorsPage, ledger: ledgerPage, keys: keysPage };
let page = null;

function openPage() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  const view = $('#view');
  page = session.wanted ? signInPage : pages[name] || overview;
  for (const link of document.querySelectorAll('#tabs a')) {
    const on = link.getAttribute('href') === '#/' + (pages[name] ? name : '');
    if (on) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
    if (on) link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  view.replaceChildren();
  $('#tip').hidden = true;
  return page.open(view, rest);
}

function showAll() {
  const pulse = $('#pulse'), alarm = $('#alarm'), failed = session.wanted ? null : state.failed;
  alarm.hidden = failed === null;
  if (failed !== null) {
    const since = state.polled ? ` What is shown is ${durationText((Date.now() - state.polled) / 1000)} old.` : '';
    alarm.textContent = `No answer: ${failed.message}.${since}`;
  }
  const known = !failed && !session.wanted;
  const level = failed ? 'bad' : known ? verdict(state.status)[0] : '';
  pulse.className = 'pulse ' + level;
  pulse.title = failed ? 'no answer' : known ? verdict(state.status).slice(1).join(' ') : 'not signed in';
  document.title = (level === 'bad' ? '● ' : '') + 'Quorate';
  if (known && page.show) page.show();
  document.documentElement.dataset.polls = state.history.length;
}

/* Light, dark, or as the system has it: kept for this browser when it lets us. */
const themes = ['auto', 'light', 'dark'];
const dark = matchMedia('(prefers-color-scheme: dark)');
function theme(next) {
  try { if (next) localStorage.setItem('theme', next); } catch (e) { /* not kept */ }
  let kept = next;
  try { kept = localStorage.getItem('theme') || 'auto'; } catch (e) { kept = next || 'auto'; }
  document.documentElement.classList.toggle('dark', kept === 'dark' || (kept === 'auto' && dark.matches));
  $('#theme').title = `colours: ${kept}`;
  if (page && page.show && state.status) page.show();
  return kept;
}

$('#theme').addEventListener('click', () => theme(themes[(themes.indexOf(theme()) + 1) % themes.length]));
dark.addEventListener('change', () => theme());
addEventListener('hashchange', openPage);
addEventListener('resize', () => page && page.show && state.status && page.show());
$('#leave').addEventListener('click', () => session.leave());
theme();
session.recall();
openPage();
pollForEver(showAll);
