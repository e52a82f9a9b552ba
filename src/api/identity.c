/* SPDX-License-Identifier: Apache-2.0 */
#include "api/identity.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

enum { NAME = 49, SECRET = 40 };

struct account {
	struct map_node node; /* by name */
	char name[NAME], hash[ADMIN_PASSWORD_HASH];
	unsigned roles;
	bool enabled;
};

struct token {
	struct map_node node; /* by the hash of its secret: looking it up tells nothing of the secret by its time */
	char name[NAME], hash[ADMIN_SECRET_HASH];
	unsigned roles;
	int64_t expires_at;
};

struct session {
	struct map_node node; /* likewise */
	struct list age;      /* the oldest first */
	char account[NAME], hash[ADMIN_SECRET_HASH], password[ADMIN_PASSWORD_HASH];
	int64_t expires_at;
};

struct identities {
	struct store *store;
	struct map accounts, tokens, sessions;
	struct list by_age;
	char nobody[ADMIN_PASSWORD_HASH];
};

static void accounts_clear(struct identities *t)
{
	size_t i;
	MAP_EACH(n, &t->accounts, i) {
		map_remove(&t->accounts, n);
		mem_free(CONTAINER_OF(n, struct account, node));
	}
	MAP_EACH(n, &t->tokens, i) {
		map_remove(&t->tokens, n);
		mem_free(CONTAINER_OF(n, struct token, node));
	}
}

static void session_free(struct identities *t, struct session *s)
{
	map_remove(&t->sessions, &s->node);
	list_remove(&s->age);
	mem_free(s);
}

struct identities *identities_new(struct store *store)
{
	/* argon2id of 32 random octets, with the costs of admin/password.c, made once: what nobody knows fits nobody */
	static const char nobody[] = "$argon2id$v=19$m=65536,t=3,p=1$iH7/mG2YAf1AFoca3LUWow$Yko8xWbH/e4q8ssvhfDvvVVhxzo90ezm3CGP24T6Bu4";
	struct identities *t = MEM_NEW(struct identities);
	t->store = store;
	map_init(&t->accounts);
	map_init(&t->tokens);
	map_init(&t->sessions);
	list_init(&t->by_age);
	slice_cstr(slice_str(nobody), t->nobody, sizeof t->nobody);
	return t;
}

struct identities *identities_free(struct identities *t)
{
	if (!t)
		return NULL;
	LIST_EACH(n, &t->by_age)
		session_free(t, CONTAINER_OF(n, struct session, age));
	accounts_clear(t);
	map_free(&t->accounts);
	map_free(&t->tokens);
	map_free(&t->sessions);
	return mem_free(t);
}

static int each_account(void *arg, const struct store_account *a)
{
	struct identities *t = arg;
	struct account *n = MEM_NEW(struct account);
	n->roles = admin_role_find(a->role);
	n->enabled = a->enabled;
	if (slice_cstr(a->name, n->name, sizeof n->name) && slice_cstr(a->hash, n->hash, sizeof n->hash) && !map_find(&t->accounts, a->name))
		map_insert(&t->accounts, &n->node, slice_str(n->name));
	else
		mem_free(n);
	return 0;
}

static int each_token(void *arg, const struct store_token *k)
{
	struct identities *t = arg;
	struct token *n = MEM_NEW(struct token);
	n->roles = admin_role_find(k->role);
	n->expires_at = k->expires_at;
	if (slice_cstr(k->name, n->name, sizeof n->name) && slice_cstr(k->hash, n->hash, sizeof n->hash) && !map_find(&t->tokens, k->hash))
		map_insert(&t->tokens, &n->node, slice_str(n->hash));
	else
		mem_free(n);
	return 0;
}

static struct account *account_find(struct identities *t, struct slice name)
{
	struct map_node *n = map_find(&t->accounts, name);
	struct account *a = n ? CONTAINER_OF(n, struct account, node) : NULL;
	return a && a->enabled ? a : NULL;
}

static bool still_good(struct identities *t, const struct session *s)
{
	const struct account *a = account_find(t, slice_str(s->account));
	return a && slice_eq(slice_str(a->hash), slice_str(s->password));
}

int identities_reload(struct identities *t, struct entente_err *err)
{
	accounts_clear(t);
	int rc = t->store ? store_load_accounts(t->store, each_account, t, err) : 0;
	if (!rc && t->store)
		rc = store_load_tokens(t->store, each_token, t, err);
	if (rc)
		accounts_clear(t);
	LIST_EACH(n, &t->by_age) {
		struct session *s = CONTAINER_OF(n, struct session, age);
		if (!still_good(t, s))
			session_free(t, s);
	}
	return rc;
}

static void tell(struct identity *ret, const char *kind, const char *name, unsigned roles, const char *how)
{
	snprintf(ret->who, sizeof ret->who, "%s/%s", kind, name);
	ret->roles = roles;
	ret->how = how;
}

static bool find(struct identities *t, const char *hash, int64_t now, struct identity *ret)
{
	struct map_node *n;
	slice_cstr(slice_str(hash), ret->secret, sizeof ret->secret);
	if ((n = map_find(&t->tokens, slice_str(hash)))) {
		struct token *k = CONTAINER_OF(n, struct token, node);
		if (k->expires_at && k->expires_at <= now)
			return false;
		tell(ret, "token", k->name, k->roles, "token");
		return true;
	}
	if (!(n = map_find(&t->sessions, slice_str(hash))))
		return false;
	struct session *s = CONTAINER_OF(n, struct session, node);
	const struct account *a = account_find(t, slice_str(s->account));
	if (s->expires_at <= now || !a) {
		session_free(t, s);
		return false;
	}
	tell(ret, "account", a->name, a->roles, "session"); /* the role of now */
	return true;
}

bool identities_find(struct identities *t, struct slice secret, int64_t now, struct identity *ret)
{
	char hash[ADMIN_SECRET_HASH];
	admin_secret_hash(hash, secret);
	return find(t, hash, now, ret);
}

bool identities_still(struct identities *t, const struct identity *who, int64_t now)
{
	struct identity is;
	return !*who->secret || (find(t, who->secret, now, &is) && is.roles == who->roles);
}

const char *identities_hash(struct identities *t, struct slice account)
{
	const struct account *a = account_find(t, account);
	return a ? a->hash : t->nobody;
}

/* Makes room for one more of this account. */
static void sessions_trim(struct identities *t, struct slice account, int64_t now)
{
	size_t mine = 0;
	LIST_EACH(n, &t->by_age) {
		struct session *s = CONTAINER_OF(n, struct session, age);
		if (s->expires_at <= now)
			session_free(t, s);
		else
			mine += slice_eq(slice_str(s->account), account);
	}
	LIST_EACH(n, &t->by_age) {
		struct session *s = CONTAINER_OF(n, struct session, age);
		bool own = slice_eq(slice_str(s->account), account);
		if (own ? mine >= IDENTITY_SESSIONS_EACH : t->sessions.count >= IDENTITY_SESSIONS_MAX) {
			mine -= own;
			session_free(t, s);
		}
	}
}

bool identities_begin(struct identities *t, struct slice account, const char *hash, int64_t now, char ret[IDENTITY_SECRET], struct identity *who)
{
	const struct account *a = account_find(t, account);
	char random[SECRET + 1];
	if (!a || !slice_eq(slice_str(a->hash), slice_str(hash)))
		return false;
	sessions_trim(t, account, now);
	struct session *s = MEM_NEW(struct session);
	rand_token(random, SECRET);
	snprintf(ret, IDENTITY_SECRET, "session_%s", random);
	explicit_bzero(random, sizeof random);
	admin_secret_hash(s->hash, slice_str(ret));
	slice_cstr(account, s->account, sizeof s->account);
	slice_cstr(slice_str(a->hash), s->password, sizeof s->password);
	s->expires_at = now + IDENTITY_SESSION_S;
	map_insert(&t->sessions, &s->node, slice_str(s->hash));
	list_append(&t->by_age, &s->age);
	tell(who, "account", a->name, a->roles, "session");
	return true;
}

void identities_end(struct identities *t, struct slice secret)
{
	char hash[ADMIN_SECRET_HASH];
	admin_secret_hash(hash, secret);
	struct map_node *n = map_find(&t->sessions, slice_str(hash));
	if (n)
		session_free(t, CONTAINER_OF(n, struct session, node));
}
