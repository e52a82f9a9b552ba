/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/draft.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/mem.h"
#include "admin/document.h"

/* ---- places */

/* Names of administrators as names of directories: what is not a letter, digit or underscore becomes =XX. */
static void encode(char *ret, size_t size, struct slice who)
{
	size_t n = 0;
	for (size_t i = 0; i < who.len && i < DRAFT_WHO_MAX && n + 4 < size; i++) {
		unsigned char c = (unsigned char)who.p[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
			ret[n++] = (char)c;
		else
			n += (size_t)snprintf(ret + n, size - n, "=%02X", c);
	}
	ret[n] = 0;
}

static bool decode(char *ret, size_t size, const char *name)
{
	size_t n = 0;
	for (; *name && n + 1 < size; name++) {
		unsigned c = (unsigned char)*name;
		if (c == '=' && sscanf(name + 1, "%2X", &c) == 1 && name[1] && name[2])
			name += 2;
		else if (*name == '=' || *name == '.')
			return false;
		ret[n++] = (char)c;
	}
	ret[n] = 0;
	return n > 0 && !*name;
}

static void directory_of(char *ret, size_t size, const struct admin *a, struct slice who)
{
	char name[3 * DRAFT_WHO_MAX + 8];
	encode(name, sizeof name, who);
	snprintf(ret, size, "%s/drafts/%s", store_directory(a->store), name);
}

bool draft_exists(const struct admin *a, struct slice who)
{
	char path[4200];
	struct stat st;
	directory_of(path, sizeof path, a, who);
	return a->store && a->ops->build && !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* ---- opening */

static struct draft *draft_new(struct admin *a, struct slice who)
{
	struct draft *d = MEM_NEW(struct draft);
	list_init(&d->node);
	slice_cstr(slice_first(who, DRAFT_WHO_MAX), d->who, sizeof d->who);
	d->live = a;
	d->settings = json_object();
	return d;
}

static struct draft *draft_close(struct draft *d)
{
	if (!d)
		return NULL;
	list_remove(&d->node);
	snapshot_unref(d->snapshot);
	json_decref(d->base);
	json_decref(d->settings);
	store_close(d->store);
	return mem_free(d);
}

static int open_store(struct draft *d, struct entente_err *err)
{
	int rc = store_open(&d->store, &(struct store_options){.directory = d->directory}, err);
	if (rc)
		return rc;
	d->admin = *d->live;
	d->admin.store = d->store;
	d->admin.draft = d;
	return 0;
}

static json_t *note(struct draft *d, const char *name, struct entente_err *err)
{
	struct buf b;
	buf_init(&b, STORE_LARGE_MAX + 1);
	json_t *j = store_note_load(d->store, slice_str(name), &b, err) ? NULL : json_loadb(buf_slice(&b).p, b.len, JSON_DECODE_ANY, NULL);
	buf_free(&b);
	return j;
}

static int note_put(struct store *collector, const char *name, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	int rc = text ? store_note_put(collector, slice_str(name), slice_str(text), NULL, NULL) : ENTENTE_EINVAL;
	free(text);
	return rc;
}

static int submit(struct store *s, struct store_set *set, struct entente_err *err)
{
	struct store_wait w;
	store_wait_init(&w);
	int rc = store_set_submit(s, set, -1, S("draft"), S("draft"), store_wait_done, &w);
	return rc ? err_set(err, rc, REASON_NONE, "%s", entente_strerror(rc)) : store_wait(&w, err);
}

int draft_settings_save(struct draft *d, struct entente_err *err)
{
	struct store_set *set = store_set_new();
	int rc = note_put(store_set_collector(set), "settings", d->settings);
	if (!rc)
		return submit(d->store, set, err);
	store_set_free(set);
	return err_set(err, rc, REASON_NONE, "%s", entente_strerror(rc));
}

static struct draft *find_open(struct admin *a, struct slice who)
{
	LIST_EACH(l, &a->drafts) {
		struct draft *d = CONTAINER_OF(l, struct draft, node);
		if (slice_eq(slice_str(d->who), slice_first(who, DRAFT_WHO_MAX)))
			return d;
	}
	return NULL;
}

struct draft *draft_find(struct admin *a, struct slice who, struct entente_err *err)
{
	struct draft *d = find_open(a, who);
	struct entente_err why = {0};
	if (d)
		return d;
	*err = (struct entente_err){0};
	if (!draft_exists(a, who)) {
		err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "you have no draft");
		return NULL;
	}
	d = draft_new(a, who);
	directory_of(d->directory, sizeof d->directory, a, who);
	int rc = open_store(d, &why);
	json_t *about = rc ? NULL : note(d, "about", &why), *settings = rc ? NULL : note(d, "settings", &why);
	d->base = rc ? NULL : note(d, "base", &why);
	if (!rc && json_is_object(about) && json_is_object(d->base) && json_is_object(settings)) {
		d->base_generation = admin_get_int(about, "generation");
		d->begun = admin_get_int(about, "begun");
		json_decref(d->settings);
		d->settings = json_incref(settings);
		list_append(&a->drafts, &d->node);
	} else {
		err_set(err, ENTENTE_ESTORE, REASON_NONE, "your draft is damaged (%.120s): `entente config abort` drops it",
			rc ? why.text : "it is not complete");
		d = draft_close(d);
	}
	json_decref(about);
	json_decref(settings);
	return d;
}

static int make(struct draft *d, struct entente_err *err)
{
	char all[4200];
	snprintf(all, sizeof all, "%s/drafts", store_directory(d->live->draft ? d->live->draft->live->store : d->live->store));
	if (mkdir(all, 0700) && errno != EEXIST)
		return err_set(err, ENTENTE_EIO, REASON_SERVER_STORE, "cannot make %s: %s", all, strerror(errno));
	int rc = store_copy_policy(d->live->store, d->directory, err);
	d->begun = clock_unix();
	d->base_generation = store_generation(d->live->store);
	return rc ? rc : open_store(d, err);
}

/* What makes a directory a draft comes last, in one transaction: one that was cut short is reported, and can be dropped. */
static int sign(struct draft *d, struct entente_err *err)
{
	struct store_set *set = store_set_new();
	struct store *c = store_set_collector(set);
	json_t *about = json_pack("{s:s s:I s:I}", "who", d->who, "generation", (json_int_t)d->base_generation, "begun", (json_int_t)d->begun);
	int rc = note_put(c, "base", d->base);
	rc = rc ? rc : note_put(c, "settings", d->settings);
	rc = rc ? rc : note_put(c, "about", about);
	json_decref(about);
	if (!rc)
		return submit(d->store, set, err);
	store_set_free(set);
	return err_set(err, rc, REASON_NONE, "the policy is too large for a draft");
}

static void count(void *arg, const char *who, const char *path)
{
	(void)who;
	(void)path;
	++*(size_t *)arg;
}

static void each_directory(const struct admin *a, void (*fn)(void *arg, const char *who, const char *path), void *arg)
{
	char all[4200], path[4500], who[DRAFT_WHO_MAX + 1];
	snprintf(all, sizeof all, "%s/drafts", store_directory(a->store));
	DIR *dir = opendir(all);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (decode(who, sizeof who, e->d_name)) {
			snprintf(path, sizeof path, "%s/%s", all, e->d_name);
			fn(arg, who, path);
		}
	if (dir)
		closedir(dir);
}

int draft_begin(struct draft **ret, struct admin *a, struct slice who, struct entente_err *err)
{
	size_t n = 0;
	if (draft_exists(a, who))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "you have a draft already: `entente config diff` shows it, commit or abort ends it");
	each_directory(a, count, &n);
	if (n >= DRAFTS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "there are %zu drafts already, more are not kept", n);
	struct draft *d = draft_new(a, who);
	directory_of(d->directory, sizeof d->directory, a, who);
	int rc = admin_document_load(&d->base, a->store, err);
	rc = rc ? rc : make(d, err);
	rc = rc ? rc : sign(d, err);
	if (rc) {
		char directory[sizeof d->directory];
		memcpy(directory, d->directory, sizeof directory);
		draft_close(d);
		store_copy_remove(directory, NULL);
		return rc;
	}
	list_append(&a->drafts, &d->node);
	*ret = d;
	return 0;
}

int draft_drop(struct admin *a, struct slice who, struct entente_err *err)
{
	char path[4200];
	if (!draft_exists(a, who))
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "you have no draft");
	draft_close(find_open(a, who));
	directory_of(path, sizeof path, a, who);
	return store_copy_remove(path, err);
}

void draft_close_all(struct admin *a)
{
	LIST_EACH(l, &a->drafts)
		draft_close(CONTAINER_OF(l, struct draft, node));
}

struct listing {
	struct admin *admin;
	json_t *array;
};

static void list_one(void *arg, const char *who, const char *path)
{
	struct listing *l = arg;
	struct entente_err err = {0};
	char at[CLOCK_TEXT];
	(void)path;
	struct draft *d = draft_find(l->admin, slice_str(who), &err);
	json_t *o = json_object();
	admin_set_text(o, "who", slice_str(who));
	if (d) {
		clock_text_at(d->begun, at);
		json_object_set_new(o, "begun", json_string(at));
		json_object_set_new(o, "base", json_integer((json_int_t)d->base_generation));
	} else {
		admin_set_text(o, "damaged", slice_str(err.text));
	}
	json_array_append_new(l->array, o);
}

void draft_list(struct admin *a, json_t *array)
{
	if (a->store && a->ops->build)
		each_directory(a, list_one, &(struct listing){a, array});
}

/* ---- trials */

int draft_trial(struct draft **ret, struct admin *a, struct slice who, struct entente_err *err)
{
	struct draft *d = draft_new(a, who);
	/* beside the drafts, also when it is of one; no administrator's: those begin with no dot */
	snprintf(d->directory, sizeof d->directory, "%s/drafts/.trial", store_directory(a->draft ? a->draft->live->store : a->store));
	int rc = make(d, err);
	if (rc)
		draft_trial_free(d);
	else
		*ret = d;
	return rc;
}

struct draft *draft_trial_free(struct draft *d)
{
	char directory[sizeof d->directory];
	if (!d)
		return NULL;
	memcpy(directory, d->directory, sizeof directory);
	draft_close(d);
	store_copy_remove(directory, NULL);
	return NULL;
}

/* ---- what it would be */

void draft_changed(struct draft *d)
{
	d->snapshot = snapshot_unref(d->snapshot);
}

struct snapshot *draft_snapshot(struct draft *d, struct entente_err *err)
{
	if (!d->snapshot && d->live->ops->build(d->live->arg, d->store, NULL, &d->snapshot, NULL, err))
		return NULL;
	return d->snapshot;
}
