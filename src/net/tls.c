/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/rand.h"
#include "keeper/keeper.h"
#include "net/tls_int.h"

enum {
	FILE_MAX = 16 << 20,
	ANCHORS_MAX = 4096,
	DEPTH_MAX = 10,
	CERT_LIST_MAX = 64 << 10,
	SESSIONS_DEFAULT = 1024,
	TICKET_CERT_MAX = 700, /* a ticket carries the client's certificate, and jabberd2 cannot read a record of more than 1024
				  octets after its handshake: with a larger certificate there is no resumption (TLS 1.3) */
};

static const char default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL";

void tls_error_text(char *dst, size_t size)
{
	unsigned long e = ERR_get_error();
	int reason = ERR_GET_REASON(e);
	if (!e) {
		snprintf(dst, size, "unknown TLS failure");
	} else if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
		int alert = reason - SSL_AD_REASON_OFFSET;
		bool ours = (alert >= 41 && alert <= 46) || alert == 48 || alert == 49 || alert == 116;
		snprintf(dst, size, "the peer sent the TLS alert \"%s\"%s", SSL_alert_desc_string_long(alert),
			ours ? ": it does not accept our certificate" : "");
	} else {
		const char *text = ERR_reason_error_string(e);
		snprintf(dst, size, "%s", text ? text : "unknown TLS failure");
	}
	ERR_clear_error();
}

/* --- material --- */

static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return -1; /* a server cannot ask */
}

static int read_file(struct buf *ret, const char *path, const char *what, struct entente_err *err)
{
	int code = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	buf_init(ret, FILE_MAX + 1);
	if (fd < 0 || fstat(fd, &st) < 0) {
		code = err_set(err, ENTENTE_EIO, REASON_NONE, "%s %s: %s%s", what, path, strerror(errno),
			errno == EACCES ? " (the service's user must be able to read it)" : "");
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		code = err_set(err, ENTENTE_EIO, REASON_NONE, "%s %s: not a regular file, or too large", what, path);
		goto out;
	}
	size_t room = (size_t)st.st_size + 1; /* reserved once: a key must not stay behind in memory that a growing buffer left */
	char *p = buf_reserve(ret, room);
	while (p && ret->len < room) {
		ssize_t n = read(fd, p + ret->len, room - ret->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			code = err_set(err, ENTENTE_EIO, REASON_NONE, "%s %s: %s", what, path, strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		buf_commit(ret, (size_t)n);
	}
out:
	if (fd >= 0)
		close(fd);
	return code;
}

static BIO *bio_of(const struct buf *b)
{
	return BIO_new_mem_buf(b->len ? b->mem + b->off : "", (int)b->len);
}

static struct keeper *keeper;

void tls_set_keeper(struct keeper *k)
{
	keeper = k;
}

int tls_key_load(EVP_PKEY **ret, const char *path, struct entente_err *err)
{
	struct buf pem;
	if (keeper)
		return keeper_key_load(keeper, ret, path, err);
	int code = read_file(&pem, path, "private key", err);
	if (code == 0) {
		BIO *bio = bio_of(&pem);
		*ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
		BIO_free(bio);
		ERR_clear_error();
		if (!*ret)
			code = err_set(err, ENTENTE_ETLS, REASON_NONE, "private key %s: no valid PEM key without a passphrase in it", path);
	}
	buf_wipe(&pem);
	return code;
}

STACK_OF(X509) *tls_parse_chain(const struct buf *pem, int max)
{
	BIO *bio = bio_of(pem);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *x;
	while (sk_X509_num(chain) < max && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)))
		sk_X509_push(chain, x);
	unsigned long e = ERR_peek_last_error();
	bool whole = !e || ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	BIO_free(bio);
	if (whole && sk_X509_num(chain) > 0)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

static int load_pair(struct buf *chain, EVP_PKEY **key, struct tls_peer **facts, const char *chain_path, const char *key_path,
	struct entente_err *err)
{
	STACK_OF(X509) *list = NULL;
	int code = 0;
	if (!chain_path || !key_path)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "a certificate needs both its chain file and its key file");
	if ((code = read_file(chain, chain_path, "certificate", err)))
		goto out;
	if (!(list = tls_parse_chain(chain, TLS_CHAIN_MAX)))
		code = err_set(err, ENTENTE_ETLS, REASON_NONE, "certificate %s: no valid PEM certificate in it", chain_path);
	else if ((code = tls_key_load(key, key_path, err)))
		;
	else if (X509_check_private_key(sk_X509_value(list, 0), *key) != 1)
		code = err_set(err, ENTENTE_ETLS, REASON_NONE, "private key %s does not belong to the first certificate of %s",
			key_path, chain_path);
	else
		*facts = tls_peer_make(sk_X509_value(list, 0), NULL);
out:
	ERR_clear_error();
	sk_X509_pop_free(list, X509_free);
	return code;
}

static int set_alpn(struct tls_material *m, const struct tls_settings *s, struct entente_err *err)
{
	for (size_t i = 0; i < sizeof s->alpn / sizeof *s->alpn && s->alpn[i]; i++) {
		size_t n = strlen(s->alpn[i]);
		if (n == 0 || n > 255 || m->alpn_len + 1 + n > sizeof m->alpn)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "ALPN protocol names are too long");
		m->alpn[m->alpn_len++] = (unsigned char)n;
		memcpy(m->alpn + m->alpn_len, s->alpn[i], n);
		m->alpn_len += n;
	}
	return 0;
}

int tls_material_load(struct tls_material **ret, const struct tls_settings *s, struct entente_err *err)
{
	struct tls_material *m = MEM_NEW(struct tls_material);
	struct tls_ctx *trial = NULL;
	int code;
	m->refs = 1;
	m->set = *s;
	m->set.server_chain = m->set.server_key = m->set.client_chain = m->set.client_key = m->set.trust_file = NULL;
	m->set.ciphers = m->ciphers;
	if (!slice_cstr(slice_str(s->ciphers ? s->ciphers : default_ciphers), m->ciphers, sizeof m->ciphers)) {
		code = err_set(err, ENTENTE_EINVAL, REASON_NONE, "the cipher list is too long");
		goto out;
	}
	rand_bytes(m->ticket_keys, sizeof m->ticket_keys);
	if ((code = set_alpn(m, s, err)))
		goto out;
	if (s->server_chain || s->server_key) {
		code = load_pair(&m->server_chain, &m->server_key, &m->facts[TLS_SLOT_SERVER], s->server_chain, s->server_key,
			err);
		if (code)
			goto out;
	}
	const char *chain = s->client_chain, *key = s->client_key;
	if (!chain && !key) {
		chain = s->server_chain;
		key = s->server_key;
	}
	if (chain || key) {
		code = load_pair(&m->client_chain, &m->client_key, &m->facts[TLS_SLOT_CLIENT], chain, key, err);
		if (code)
			goto out;
	}
	if (s->trust_file) {
		if ((code = read_file(&m->trust, s->trust_file, "trust anchors", err)))
			goto out;
		STACK_OF(X509) *anchors = tls_parse_chain(&m->trust, ANCHORS_MAX);
		if (!anchors) {
			code = err_set(err, ENTENTE_ETLS, REASON_NONE, "trust anchors %s: no valid PEM certificate in it",
				s->trust_file);
			goto out;
		}
		sk_X509_pop_free(anchors, X509_free);
	}
	code = tls_ctx_new(&trial, m, err); /* what OpenSSL refuses shows here, not on a worker */
out:
	tls_ctx_unref(trial);
	if (code == 0)
		*ret = m;
	else
		tls_material_unref(m);
	return code;
}

struct tls_material *tls_material_ref(struct tls_material *m)
{
	__atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}

struct tls_material *tls_material_unref(struct tls_material *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return NULL;
	EVP_PKEY_free(m->server_key);
	EVP_PKEY_free(m->client_key);
	buf_free(&m->server_chain);
	buf_free(&m->client_chain);
	buf_free(&m->trust);
	tls_peer_free(m->facts[0]);
	tls_peer_free(m->facts[1]);
	OPENSSL_cleanse(m->ticket_keys, sizeof m->ticket_keys);
	return mem_free(m);
}

const struct tls_peer *tls_material_facts(const struct tls_material *m, enum tls_slot slot)
{
	return slot == TLS_SLOT_NONE ? NULL : m->facts[slot];
}

/* --- context --- */

/* Verification is recorded, never enforced. */
static int on_verify(int ok, X509_STORE_CTX *sc)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_link *k = ssl ? SSL_get_app_data(ssl) : NULL;
	X509 *own = X509_STORE_CTX_get0_cert(sc);
	if (ssl && own && SSL_is_server(ssl) && i2d_X509(own, NULL) > TICKET_CERT_MAX)
		SSL_set_num_tickets(ssl, 0);
	if (ok || !k || k->verify_code)
		return 1;
	int code = X509_STORE_CTX_get_error(sc);
	char who[128] = "", text[256];
	X509 *x = X509_STORE_CTX_get_current_cert(sc);
	BIO *bio = x ? BIO_new(BIO_s_mem()) : NULL;
	if (bio) {
		char *p = NULL;
		X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
		long n = BIO_get_mem_data(bio, &p);
		slice_cstr(slice_of(p, n > 0 ? (size_t)n : 0), who, sizeof who);
		BIO_free(bio);
	}
	snprintf(text, sizeof text, "%s (depth %d: %s)", X509_verify_cert_error_string(code),
		X509_STORE_CTX_get_error_depth(sc), who);
	k->verify_code = code;
	k->why = mem_strndup(text, strlen(text));
	return 1;
}

static int on_new_session(SSL *ssl, SSL_SESSION *s)
{
	struct tls_link *k = SSL_get_app_data(ssl);
	if (!k || !k->key.len || !SSL_SESSION_is_resumable(s))
		return 0;
	tls_sessions_put(k->ctx, buf_slice(&k->key), s);
	return 1;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
	void *arg)
{
	(void)ssl;
	const struct tls_material *m = arg;
	unsigned char *found;
	if (SSL_select_next_proto(&found, out_len, m->alpn, (unsigned)m->alpn_len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static int on_servername(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	struct tls_ctx *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_ctx *other = t->choose ? t->choose(t->choose_arg, slice_str(name)) : NULL;
	if (other && other->server)
		SSL_set_SSL_CTX(ssl, other->server);
	return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool use_pair(SSL_CTX *c, SSL *ssl, const struct buf *chain, EVP_PKEY *pkey)
{
	STACK_OF(X509) *list = tls_parse_chain(chain, TLS_CHAIN_MAX);
	bool ok = false;
	if (list && pkey) {
		X509 *leaf = sk_X509_shift(list);
		if (c)
			ok = SSL_CTX_use_cert_and_key(c, leaf, pkey, list, 1) == 1;
		else
			ok = SSL_use_cert_and_key(ssl, leaf, pkey, list, 1) == 1;
		X509_free(leaf);
	}
	sk_X509_pop_free(list, X509_free);
	return ok;
}

bool tls_fill_store(X509_STORE *store, const struct tls_material *m)
{
	if (!m->trust.len)
		return X509_STORE_set_default_paths(store) == 1;
	STACK_OF(X509) *anchors = tls_parse_chain(&m->trust, ANCHORS_MAX);
	for (int i = 0; i < sk_X509_num(anchors); i++)
		X509_STORE_add_cert(store, sk_X509_value(anchors, i)); /* one that is there twice does no harm */
	bool ok = sk_X509_num(anchors) > 0;
	sk_X509_pop_free(anchors, X509_free);
	return ok;
}

static void on_message(int written, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls_link *k = SSL_get_app_data(ssl);
	(void)version, (void)arg;
	if (k && !written && type == SSL3_RT_HANDSHAKE && n && *(const unsigned char *)p == SSL3_MT_KEY_UPDATE)
		k->updates++;
}

/* `twin`: the context of the other role, whose trust store (of some hundred certificates) serves both; or NULL. */
static SSL_CTX *make_ctx(const SSL_METHOD *method, const struct tls_material *m, SSL_CTX *twin)
{
	SSL_CTX *c = SSL_CTX_new(method);
	if (!c)
		return NULL;
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_msg_callback(c, on_message);
	SSL_CTX_set_max_cert_list(c, CERT_LIST_MAX);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, on_verify);
	SSL_CTX_set_verify_depth(c, DEPTH_MAX);
	SSL_CTX_set_dh_auto(c, 1);
	/* Purpose server for both roles: see tls.h. */
	bool any = m->set.purpose == TLS_PURPOSE_ANY;
	bool ok = SSL_CTX_set_purpose(c, any ? X509_PURPOSE_ANY : X509_PURPOSE_SSL_SERVER) == 1 &&
		SSL_CTX_set_trust(c, X509_TRUST_SSL_SERVER) == 1;
	if (twin)
		SSL_CTX_set1_cert_store(c, SSL_CTX_get_cert_store(twin));
	else
		ok = ok && tls_fill_store(SSL_CTX_get_cert_store(c), m);
	int min = m->set.tls13_only ? TLS1_3_VERSION : m->set.legacy ? TLS1_VERSION : TLS1_2_VERSION;
	ok = ok && SSL_CTX_set_min_proto_version(c, min) == 1;
	if (m->set.legacy)
		SSL_CTX_set_security_level(c, 0);
	ok = ok && SSL_CTX_set_cipher_list(c, m->ciphers) == 1;
	if (!ok) {
		SSL_CTX_free(c);
		return NULL;
	}
	return c;
}

static bool make_server(struct tls_ctx *t)
{
	struct tls_material *m = t->material;
	static const unsigned char id[] = "entente";
	SSL_CTX *c = t->server = make_ctx(TLS_server_method(), m, NULL);
	if (c && m->set.no_client)
		SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
	if (!c || !use_pair(c, NULL, &m->server_chain, m->server_key))
		return false;
	/* Tickets only, under keys that the workers share: no session store to fill. One per connection is enough between
	 * servers. */
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_session_id_context(c, id, sizeof id - 1);
	SSL_CTX_set_tlsext_servername_callback(c, on_servername);
	SSL_CTX_set_tlsext_servername_arg(c, t);
	if (m->alpn_len)
		SSL_CTX_set_alpn_select_cb(c, on_alpn, m);
	return SSL_CTX_set_tlsext_ticket_keys(c, m->ticket_keys, sizeof m->ticket_keys) == 1;
}

static bool make_client(struct tls_ctx *t)
{
	struct tls_material *m = t->material;
	SSL_CTX *c = t->client = make_ctx(TLS_client_method(), m, t->server);
	if (!c)
		return false;
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c, on_new_session);
	return m->set.client_none || !m->client_chain.len || use_pair(c, NULL, &m->client_chain, m->client_key);
}

int tls_ctx_new(struct tls_ctx **ret, struct tls_material *m, struct entente_err *err)
{
	struct tls_ctx *t = MEM_NEW(struct tls_ctx);
	t->refs = 1;
	t->material = tls_material_ref(m);
	t->sessions_max = m->set.sessions ? m->set.sessions : SESSIONS_DEFAULT;
	tls_sessions_init(t);
	ERR_clear_error();
	if ((m->server_chain.len && !make_server(t)) || !make_client(t)) {
		char text[160];
		tls_error_text(text, sizeof text);
		tls_ctx_unref(t);
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "TLS cannot be set up: %s", text);
	}
	*ret = t;
	return 0;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *t)
{
	t->refs++;
	return t;
}

struct tls_ctx *tls_ctx_unref(struct tls_ctx *t)
{
	if (!t || --t->refs)
		return NULL;
	tls_sessions_free(t);
	SSL_CTX_free(t->server);
	SSL_CTX_free(t->client);
	tls_material_unref(t->material);
	return mem_free(t);
}

const struct tls_material *tls_ctx_material(const struct tls_ctx *t)
{
	return t->material;
}

void tls_ctx_set_choose(struct tls_ctx *t, tls_choose_fn fn, void *arg)
{
	t->choose = fn;
	t->choose_arg = arg;
}

void tls_ctx_counts(const struct tls_ctx *t, struct tls_counts *ret)
{
	*ret = t->counts;
	ret->sessions = t->sessions.count;
}

/* --- link --- */

static bool set_slot(SSL *ssl, const struct tls_material *m, enum tls_slot slot)
{
	if (slot == TLS_SLOT_NONE) {
		SSL_certs_clear(ssl);
		return true;
	}
	if (slot == TLS_SLOT_SERVER)
		return m->server_chain.len && use_pair(NULL, ssl, &m->server_chain, m->server_key);
	return true;
}

static bool open_client(struct tls_link *k, const struct conn_tls *t)
{
	char name[256];
	unsigned char alpn[256];
	if (t->sni.len && !addr_is_literal(t->sni)) {
		if (!slice_cstr(t->sni, name, sizeof name) || strlen(name) != t->sni.len)
			return false;
		if (!SSL_set_tlsext_host_name(k->ssl, name))
			return false;
	}
	if (t->alpn.len) {
		if (t->alpn.len > 255)
			return false;
		alpn[0] = (unsigned char)t->alpn.len;
		memcpy(alpn + 1, t->alpn.p, t->alpn.len);
		if (SSL_set_alpn_protos(k->ssl, alpn, (unsigned)t->alpn.len + 1))
			return false;
	}
	if (!set_slot(k->ssl, t->ctx->material, t->slot))
		return false;
	if (t->session_key.len) {
		/* What another certificate of ours has proved must not be taken up by a connection that shows none. */
		buf_putc(&k->key, (char)('0' + t->slot));
		buf_put(&k->key, t->session_key);
		SSL_SESSION *s = tls_sessions_find(t->ctx, buf_slice(&k->key));
		if (s)
			SSL_set_session(k->ssl, s);
	}
	SSL_set_connect_state(k->ssl);
	return true;
}

int tls_link_open(struct tls_link *k, const struct conn_tls *t, struct entente_err *err)
{
	SSL_CTX *c = t->server ? t->ctx->server : t->ctx->client;
	*k = (struct tls_link){.server = t->server};
	if (!c)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "no server certificate is configured");
	buf_init(&k->key, 1024);
	k->ssl = SSL_new(c);
	k->ctx = tls_ctx_ref(t->ctx);
	bool ok = k->ssl != NULL;
	if (ok)
		SSL_set_app_data(k->ssl, k);
	if (ok && t->server)
		SSL_set_accept_state(k->ssl);
	else if (ok)
		ok = open_client(k, t);
	ERR_clear_error();
	if (!ok) {
		tls_link_close(k, false);
		return err_set(err, ENTENTE_ETLS, REASON_NONE, "the TLS parameters of the connection are not usable");
	}
	return 0;
}

void tls_link_close(struct tls_link *k, bool clean)
{
	if (k->ssl) {
		/* SSL_free makes the session unusable unless a close_notify seems sent. A peer that vanished is no reason
		 * for that. */
		if (clean)
			SSL_set_shutdown(k->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(k->ssl);
		ERR_clear_error();
	}
	buf_free(&k->key);
	k->why = mem_free(k->why);
	k->ssl = NULL;
	k->ctx = tls_ctx_unref(k->ctx);
}

void tls_link_failed(struct tls_link *k)
{
	k->ctx->counts.failed++;
	if (k->key.len)
		tls_sessions_drop(k->ctx, buf_slice(&k->key));
}

struct tls_peer *tls_link_peer(struct tls_link *k)
{
	struct tls_peer *p = tls_peer_make(SSL_get0_peer_certificate(k->ssl), k);
	k->ctx->counts.handshakes++;
	if (p->resumed)
		k->ctx->counts.resumed++;
	k->why = mem_free(k->why);
	return p;
}
