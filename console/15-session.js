/* Who is asking, where the cluster wants to know (docs/users.md):
 *
 *   OPEN --an answer says 401--> WANTED (the form) --a good password--> SIGNED IN --401: the token has ended--> WANTED
 *
 * The token is kept for this tab alone, and nowhere else: closing it forgets it. */

const session = {
  token: null, user: null, wanted: false, why: '',
  headers() { return this.token ? { Authorization: 'Bearer ' + this.token } : {}; },
  keep() {
    try {
      if (this.token) sessionStorage.setItem('session', JSON.stringify({ token: this.token, user: this.user }));
      else sessionStorage.removeItem('session');
    } catch (e) { /* not kept: until the page is loaded again */ }
    document.body.classList.toggle('signed-in', this.token !== null);
    $('#who').textContent = this.user || '';
    $('#leave').hidden = this.token === null;
  },
  recall() {
    try { Object.assign(this, JSON.parse(sessionStorage.getItem('session') || '{}')); } catch (e) { /* none is kept */ }
    this.keep();
  },
  lost() {
    if (this.wanted) return;
    this.why = this.token ? 'The session has ended: sign in again.' : '';
    this.wanted = true;
    this.token = null;
    this.keep();
    openPage();
    showAll();
  },
  async enter(user, password) {
    const answer = await askJson('/v1/auth/login', { method: 'POST', body: JSON.stringify({ user, password }) });
    Object.assign(this, { token: answer.token, user, wanted: false, why: '' });
    this.keep();
    await openPage();
    pollNow();
  },
  async leave() {
    try { await ask('/v1/auth/logout', { method: 'POST' }); } catch (e) { /* ended already, or it ends by itself */ }
    this.token = null;
    this.lost();
  },
};

const signInPage = {
  open(view) {
    const user = el('input', { name: 'user', autocomplete: 'username', autocapitalize: 'off', spellcheck: 'false', required: true, value: session.user || '' });
    const password = el('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
    const why = el('p.refused', { role: 'alert', hidden: session.why === '' }, session.why);
    const button = el('button.main', {}, 'Sign in');
    const enter = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await session.enter(user.value, password.value);
      } catch (e) {
        why.textContent = e.code === 'unauthenticated' ? 'No such user, or not this password.' : refusalText(e);
        why.hidden = false;
        password.value = '';
        password.focus();
      }
      button.disabled = false;
    };
    view.append(el('form.card.sign-in', { onsubmit: enter }, el('h2', {}, 'Sign in'),
      el('p.quiet', {}, 'This cluster answers only those it knows.'), why, el('label', {}, 'User', user), el('label', {}, 'Password', password), button));
    (user.value ? password : user).focus();
  },
};
