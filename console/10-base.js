'use strict';
/* What every part uses: elements, numbers as text, keys as bytes, questions to the gateway. */

const $ = (selector) => document.querySelector(selector);

/* el('td.r', {title: 'x'}, 'text', child): text is always text, never markup. */
function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length > 0) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'style') Object.assign(node.style, value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/* --- numbers --- */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (Math.abs(n) >= 1e9) return (n / 1e9).toFixed(1) + ' G';
  if (Math.abs(n) >= 1e7) return (n / 1e6).toFixed(1) + ' M';
  return grouped.format(n);
}

function rate(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n > 0 && n < 10) return n.toFixed(1);
  return count(n);
}

function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++; }
  return (unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + units[unit];
}

/* Seconds with a unit that suits them: ['4.1', 'ms']. */
function duration(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return ['–', ''];
  if (s < 0.001) return [(s * 1e6).toFixed(0), 'µs'];
  if (s < 0.1) return [(s * 1e3).toFixed(1), 'ms'];
  if (s < 1) return [(s * 1e3).toFixed(0), 'ms'];
  if (s < 120) return [s.toFixed(s < 10 ? 1 : 0), 's'];
  if (s < 7200) return [(s / 60).toFixed(0), 'min'];
  return [(s / 3600).toFixed(1), 'h'];
}
const durationText = (s) => duration(s).join(' ');

function plural(n, one, many) { return count(n) + ' ' + (n === 1 ? one : many || one + 's'); }

/* An amount is a string of digits of any length: grouped without ever becoming a floating number. */
function amount(text) {
  const negative = text.startsWith('-');
  const digits = negative ? text.slice(1) : text;
  return (negative ? '−' : '') + digits.replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/* A timestamp of the cluster: milliseconds above 18 bits of counter. */
function clock(timestamp) {
  const ms = Number(BigInt(timestamp) >> 18n);
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '');
}

/* --- keys --- */

/* A key as a string of bytes: JavaScript then compares it as the cluster does. `name` or, when it is not UTF-8, `name_b64`. */
function keyBytes(object, name) {
  if (object[name + '_b64'] !== undefined) return atob(object[name + '_b64']);
  return unescape(encodeURIComponent(object[name] || ''));
}

/* For reading: text where it is text, \xNN where it is not. */
function keyText(binary) {
  let text = binary;
  try { text = decodeURIComponent(escape(binary)); } catch (e) { /* not UTF-8: its bytes */ }
  let out = '';
  for (const c of text) {
    const code = c.codePointAt(0);
    const plain = code >= 0x20 && code !== 0x7f && (code < 0x80 || text !== binary);
    out += plain ? c : '\\x' + code.toString(16).padStart(2, '0');
  }
  return out;
}

const keyInPath = (binary) => Array.from(binary, (c) =>
  /[A-Za-z0-9_.~-]/.test(c) ? c : '%' + c.charCodeAt(0).toString(16).padStart(2, '0')).join('');

/* --- questions --- */

class Refusal extends Error {
  constructor(code, message, outcome, status) {
    super(message);
    Object.assign(this, { code, outcome, status });
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options, headers: { ...session.headers(), ...(options || {}).headers } });
  } catch (e) {
    throw new Refusal('unreachable', 'this gateway does not answer', 'unknown', 0);
  }
  if (response.ok) return response;
  let error = {};
  try { error = (await response.json()).error || {}; } catch (e) { /* no JSON: the status speaks */ }
  if (response.status === 401 && path !== '/v1/auth/login') session.lost();
  throw new Refusal(error.code || 'error', error.message || 'HTTP ' + response.status, error.outcome, response.status);
}
const askJson = async (path, options) => (await ask(path, options)).json();

const refusalText = (e) => e.outcome === 'unknown' && e.status === 504 ?
  e.message + ' (it may have happened all the same: look before you repeat it)' : e.message;

/* --- the tip: one for the page, for whatever has data-tip --- */

document.addEventListener('pointermove', (event) => {
  const over = event.target instanceof Element ? event.target.closest('[data-tip]') : null;
  const tip = $('#tip');
  tip.hidden = over === null || over.dataset.tip === '';
  if (tip.hidden) return;
  tip.textContent = over.dataset.tip;
  const width = tip.offsetWidth, height = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8)) + 'px';
  tip.style.top = (event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18) + 'px';
});
