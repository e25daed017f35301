// A small client for Quorate's HTTP interface, for Node.js 18 or later. No packages.
//
//     const db = new Quorate("http://127.0.0.1:7480");
//     const version = await db.put("default", "greeting", "hello");
//     const { value } = await db.get("default", "greeting");
//     await db.txn([{ add: { key: "acct/a", delta: -30, min: 0 } }, { add: { key: "acct/b", delta: 30 } }]);
//
// What had no answer, or was told to come again, is repeated until `patience` ms are over, with the same id: it acts once.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

// status, code and outcome as docs/http-api.md has them. outcome "unknown": it may have happened.
export class QuorateError extends Error {
  constructor(status, error = {}) {
    super(error.message ?? "no answer");
    Object.assign(this, { status, code: error.code, outcome: error.outcome ?? "unknown" });
  }
}

export class Quorate {
  constructor(url, { token, patience = 30_000 } = {}) {
    Object.assign(this, { url: url.replace(/\/$/, ""), token, patience });
  }

  async #once(method, path, body, headers) {
    try {
      const answer = await fetch(this.url + path, { method, body, headers, signal: AbortSignal.timeout(15_000) });
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    } catch (e) {
      return { status: 0, text: JSON.stringify({ error: { message: e.message } }) };
    }
  }

  async #call(method, path, body, headers = {}) {
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (method !== "GET") headers["Idempotency-Key"] ??= randomUUID();
    const until = Date.now() + this.patience;
    for (let pause = 20; ; pause = Math.min(pause * 2, 1000)) {
      const answer = await this.#once(method, path, body, headers);
      const again = [0, 429, 503, 504].includes(answer.status);
      if (again && Date.now() + pause < until) {
        await sleep(pause);
      } else if (answer.status === 0 || answer.status >= 400) {
        throw new QuorateError(answer.status, JSON.parse(answer.text || "{}").error);
      } else {
        return answer;
      }
    }
  }

  async #json(method, path, body, headers) {
    return JSON.parse((await this.#call(method, path, body && JSON.stringify(body), headers)).text);
  }

  static #path(keyspace, key) {
    return `/v1/kv/${keyspace}/${encodeURIComponent(key)}`;
  }

  // {value, version}, or null. query: {read: "bounded", max_staleness: "2s"}, ...
  async get(keyspace, key, query = {}) {
    try {
      const answer = await this.#call("GET", `${Quorate.#path(keyspace, key)}?${new URLSearchParams(query)}`);
      return { value: answer.text, version: answer.headers.get("etag").replaceAll('"', "") };
    } catch (e) {
      if (e.status === 404 && e.code === "not_found") return null;
      throw e;
    }
  }

  // The new version. ifVersion: only over that one; "absent": only where nothing is. Else QuorateError 412.
  async put(keyspace, key, value, { ifVersion } = {}) {
    const headers = {};
    if (ifVersion === "absent") headers["If-None-Match"] = "*";
    else if (ifVersion) headers["If-Match"] = `"${ifVersion}"`;
    return JSON.parse((await this.#call("PUT", Quorate.#path(keyspace, key), value, headers)).text).version;
  }

  async delete(keyspace, key) {
    return (await this.#json("DELETE", Quorate.#path(keyspace, key))).deleted;
  }

  // Yields {key, value, version} of all rows, page by page.
  async *scan(keyspace, prefix = "") {
    for (let next; ; ) {
      const query = new URLSearchParams(next ? { prefix, next } : { prefix });
      const page = await this.#json("GET", `/v1/kv/${keyspace}?${query}`);
      yield* page.rows;
      if (!page.more) return;
      next = page.next;
    }
  }

  // All operations, or QuorateError and none.
  txn(then, { conditions, keyspace = "default", id = randomUUID() } = {}) {
    return this.#json("POST", "/v1/txn", { keyspace, if: conditions, then }, { "Idempotency-Key": id });
  }

  createAccounts(accounts) {
    return this.#json("POST", "/v1/ledger/accounts", accounts);
  }

  // A transfer's own id makes it act once.
  createTransfers(transfers) {
    return this.#json("POST", "/v1/ledger/transfers", transfers);
  }

  account(id) {
    return this.#json("GET", `/v1/ledger/accounts/${id}`);
  }
}

async function refused(promise, code) {
  const e = await promise.then(() => null, (e) => e);
  if (!(e instanceof QuorateError) || e.code !== code || e.outcome !== "definite") throw e ?? new Error(`not ${code}`);
}

async function tour(url) {
  const { deepStrictEqual: same } = await import("node:assert");
  const db = new Quorate(url);
  const mark = randomUUID().slice(0, 8);
  const version = await db.put("default", `${mark}/greeting`, "hello");
  same(await db.get("default", `${mark}/greeting`), { value: "hello", version });
  await db.put("default", `${mark}/greeting`, "hello again", { ifVersion: version });
  await refused(db.put("default", `${mark}/greeting`, "too late", { ifVersion: version }), "condition_failed");
  same(await db.get("default", `${mark}/nothing`), null);

  await db.txn([{ add: { key: `${mark}/a`, delta: 100 } }]);
  const move = [{ add: { key: `${mark}/a`, delta: -70, min: 0 } }, { add: { key: `${mark}/b`, delta: 70 } }];
  await db.txn(move, { id: `move-${mark}` });
  await db.txn(move, { id: `move-${mark}` }); // the same id: the same answer, and nothing moves
  await refused(db.txn(move), "guard_failed");
  const keys = [];
  for await (const row of db.scan("default", `${mark}/`)) keys.push(row.key);
  same(keys, [`${mark}/a`, `${mark}/b`, `${mark}/greeting`]);

  const [one, two, id] = [1, 2, 3].map(() => String(BigInt(`0x${randomUUID().replaceAll("-", "")}`) >> 1n));
  await db.createAccounts([one, two].map((id) => ({ id, ledger: 978, code: 1 })));
  const transfer = { id, debit_account_id: one, credit_account_id: two, amount: "250", ledger: 978, code: 1 };
  await db.createTransfers([transfer]);
  await db.createTransfers([transfer]);
  same((await db.account(two)).credits_posted, "250");
  same(await db.delete("default", `${mark}/greeting`), true);
  console.log("all is as it should be");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await tour(process.argv[2] ?? "http://127.0.0.1:7480");
}
