"""An S3-compatible store for tests: one bucket, in memory, kept in a folder so that a test can look at it and damage it. It checks each request's
signature by itself, from the description of AWS Signature Version 4, and is ill at times when it is told to: every Nth request is answered 503, every
Mth gets no answer.

s3_server.py PORT FOLDER BUCKET ACCESS-KEY SECRET-KEY [--tls CERT KEY] [--ill N M] [--page KEYS]
"""
import argparse
import hashlib
import hmac
import http.server
import os
import ssl
import threading
import urllib.parse
from xml.sax.saxutils import escape

p = argparse.ArgumentParser()
p.add_argument("port", type=int)
p.add_argument("folder")
p.add_argument("bucket")
p.add_argument("access")
p.add_argument("secret")
p.add_argument("--tls", nargs=2)
p.add_argument("--ill", nargs=2, type=int)
p.add_argument("--page", type=int, default=1000)
options = p.parse_args()
count = 0
lock = threading.Lock()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quote(text, safe):
    return urllib.parse.quote(text, safe=safe)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", headers=()):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, code, name, message):
        self.answer(code, f"<Error><Code>{name}</Code><Message>{escape(message)}</Message></Error>".encode())

    def signed(self, body):
        head, _, rest = self.headers.get("Authorization", "").partition(" ")
        if head != "AWS4-HMAC-SHA256":
            return "no signature"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access, day, region, service, last = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        if access != options.access or service != "s3" or last != "aws4_request" or "host" not in names:
            return "another key"
        if hashlib.sha256(body).hexdigest() != self.headers["x-amz-content-sha256"]:
            return "the body is not what was signed"
        path, _, query = self.path.partition("?")
        pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
        canonical = "\n".join([
            self.command, quote(urllib.parse.unquote(path), "/~"),
            "&".join(quote(k, "~") + "=" + quote(v, "~") for k, v in pairs),
            *[f"{n}:{' '.join(self.headers[n].split())}" for n in names], "", ";".join(names),
            self.headers["x-amz-content-sha256"]])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = mac(mac(mac(mac(b"AWS4" + options.secret.encode(), day), region), "s3"), "aws4_request")
        good = hmac.compare_digest(mac(key, text).hex(), parts["Signature"])
        return None if good and self.headers["x-amz-date"].startswith(day) else "the signature does not match"

    def file_of(self, key):
        return os.path.join(options.folder, quote(key, ""))

    def keys(self):
        return sorted(urllib.parse.unquote(n) for n in os.listdir(options.folder))

    def list(self, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after, most = query.get("continuation-token", ""), min(int(query.get("max-keys", 1000)), options.page)
        entries = []
        for key in self.keys():
            if not key.startswith(prefix):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = ("P", key[:cut + 1]) if cut >= 0 else ("K", key)
            if entry not in entries and entry[1] > after:
                entries.append(entry)
        shown, more = entries[:most], len(entries) > most
        xml = "<ListBucketResult>"
        for kind, name in shown:
            xml += (f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" if kind == "P" else
                    f"<Contents><Key>{escape(name)}</Key></Contents>")
        if more:
            xml += f"<NextContinuationToken>{escape(shown[-1][1])}</NextContinuationToken>"
        self.answer(200, (xml + "</ListBucketResult>").encode())

    def read(self, key):
        try:
            with open(self.file_of(key), "rb") as f:
                body = f.read()
        except FileNotFoundError:
            return self.refuse(404, "NoSuchKey", "there is no such object")
        if self.command == "HEAD":
            return self.answer(200, headers=[("Content-Length", str(len(body)))])
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.answer(200, body)
        first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        return self.answer(206, body[first:last + 1], [("Content-Range", f"bytes {first}-{last}/{len(body)}")])

    def handle_one(self):
        global count
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock:
            count += 1
            number = count
        if options.ill and number % options.ill[1] == 0:
            self.close_connection = True
            return None
        if options.ill and number % options.ill[0] == 0:
            return self.refuse(503, "SlowDown", "reduce your request rate")
        fault = self.signed(body)
        if fault is not None:
            return self.refuse(403, "SignatureDoesNotMatch", fault)
        path, _, query = self.path.partition("?")
        _, bucket, *rest = urllib.parse.unquote(path).split("/", 2)
        if bucket != options.bucket:
            return self.refuse(404, "NoSuchBucket", "there is no such bucket")
        key = rest[0] if rest else ""
        if self.command == "GET" and key == "":
            return self.list(dict(urllib.parse.parse_qsl(query)))
        if self.command in ("GET", "HEAD"):
            return self.read(key)
        if self.command == "PUT":
            with open(self.file_of(key) + ".new", "wb") as f:
                f.write(body)
            os.rename(self.file_of(key) + ".new", self.file_of(key))
            return self.answer(200)
        if os.path.exists(self.file_of(key)):
            os.remove(self.file_of(key))
        return self.answer(204)

    do_GET = do_HEAD = do_PUT = do_DELETE = handle_one


os.makedirs(options.folder, exist_ok=True)
server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
