/* SPDX-License-Identifier: Apache-2.0 */
/* The command line against the table: words, then options and values in any order. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "admin/args.h"
#include "admin/call.h"
#include "admin/lync.h"

struct parser {
	struct admin_line *ret;
	struct buf *why;
	const struct admin_arg *waiting; /* option whose value is the next word */
	size_t n_positional;
	bool help, version, only_values;
};

static bool bool_parse(struct slice text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_ieq(text, slice_str(words[i]))) {
			*ret = i & 1;
			return true;
		}
	return false;
}

static bool duration_parse(struct slice text, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} units[] = {{"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}, {"", 1}};
	size_t digits = 0;
	uint64_t n;
	while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (!slice_u64(slice_first(text, digits), 100000000, &n))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (slice_eq(slice_skip(text, digits), slice_str(units[i].unit))) {
			*ret = n * units[i].seconds;
			return true;
		}
	return false;
}

/* Text of the command line to JSON of the argument's type; the rest is admin_args_check's. */
json_t *admin_value_of(const struct admin_arg *a, struct slice text)
{
	uint64_t n;
	bool b;
	if (a->type == ADMIN_BOOL && bool_parse(text, &b))
		return json_boolean(b);
	if (a->type == ADMIN_DURATION && duration_parse(text, &n))
		return json_integer((json_int_t)n);
	if (a->type == ADMIN_UINT && slice_u64(text, INT64_MAX, &n))
		return json_integer((json_int_t)n);
	return json_stringn(text.p ? text.p : "", text.len);
}

/* What a file contains, as text. NULL: `why` is told. */
static json_t *file_of(struct parser *p, const struct admin_arg *a, struct slice name)
{
	char path[4096];
	struct buf text;
	ssize_t n = 0;
	bool input = slice_eq(name, S("-"));
	int fd = input ? STDIN_FILENO : slice_cstr(name, path, sizeof path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	buf_init(&text, a->max + 65537);
	while (fd >= 0 && text.len <= a->max && ((n = read(fd, buf_reserve(&text, 65536), 65536)) > 0 || (n < 0 && errno == EINTR)))
		buf_commit(&text, n > 0 ? (size_t)n : 0);
	json_t *v = NULL;
	if (fd < 0 || n < 0)
		buf_printf(p->why, "%.*s cannot be read: %s", SFMT(name), strerror(errno));
	else if (text.len > a->max)
		buf_printf(p->why, "%.*s has more than %ju octets", SFMT(name), (uintmax_t)a->max);
	else if (!(v = json_stringn(text.len ? buf_slice(&text).p : "", text.len)))
		buf_printf(p->why, "%.*s is not UTF-8", SFMT(name));
	if (fd >= 0 && !input)
		close(fd);
	buf_free(&text);
	return v;
}

static bool put(struct parser *p, const struct admin_arg *a, struct slice text)
{
	json_t *v = a->type == ADMIN_FILE ? file_of(p, a, text) : admin_value_of(a, text), *args = p->ret->args;
	if (!v && a->type == ADMIN_FILE)
		return false;
	if (!v) {
		admin_arg_name(p->why, a);
		buf_puts(p->why, ": not UTF-8");
		return false;
	}
	if (a->flags & ADMIN_MANY) {
		json_t *list = json_object_get(args, a->name);
		if (!list)
			json_object_set_new(args, a->name, list = json_array());
		return json_array_append_new(list, v) == 0;
	}
	if (json_object_get(args, a->name)) {
		json_decref(v);
		admin_arg_name(p->why, a);
		buf_puts(p->why, " is given twice");
		return false;
	}
	return json_object_set_new(args, a->name, v) == 0;
}

static bool alias_put(struct parser *p, const struct admin_arg *a, const struct admin_alias *alias)
{
	if (!(a->flags & ADMIN_MANY))
		return put(p, a, slice_str(alias->value));
	if (json_object_get(p->ret->args, a->name)) {
		buf_printf(p->why, "--%s contradicts --%s", alias->word, a->name);
		return false;
	}
	return json_object_set_new(p->ret->args, a->name, json_array()) == 0;
}

static bool positional(struct parser *p, struct slice word)
{
	const struct admin_command *c = p->ret->command;
	size_t seen = 0;
	for (size_t i = 0; i < c->n_args; i++) {
		if (!(c->args[i].flags & ADMIN_POSITIONAL))
			continue;
		if (seen == p->n_positional || c->args[i].flags & ADMIN_MANY) {
			p->n_positional++;
			return put(p, &c->args[i], word);
		}
		seen++;
	}
	buf_puts(p->why, seen ? "one word too many: " : "takes no arguments: ");
	admin_quote(p->why, word);
	return false;
}

static bool generation_put(struct parser *p, struct slice text)
{
	uint64_t n;
	if (slice_u64(text, INT64_MAX, &n)) {
		p->ret->if_generation = (int64_t)n;
		return true;
	}
	buf_puts(p->why, "--if-generation: a whole number is wanted, as `entente history` shows it; this is ");
	admin_quote(p->why, text);
	return false;
}

static bool global_put(struct parser *p, struct slice name, struct slice value, bool *ret_known)
{
	*ret_known = true;
	if (slice_eq(name, S("socket"))) {
		static const struct admin_arg socket = {"socket", ADMIN_PATH};
		p->ret->socket = value.p;
		p->waiting = value.p ? NULL : &socket;
		return true;
	}
	if (slice_eq(name, S("if-generation"))) {
		static const struct admin_arg generation = {"if-generation", ADMIN_UINT};
		p->waiting = value.p ? NULL : &generation;
		return !value.p || generation_put(p, value);
	}
	*ret_known = slice_eq(name, S("json")) || slice_eq(name, S("staged")) || slice_eq(name, S("help")) || slice_eq(name, S("version"));
	if (*ret_known && value.p) {
		buf_printf(p->why, "--%.*s takes no value", SFMT(name));
		return false;
	}
	p->ret->json = p->ret->json || slice_eq(name, S("json"));
	p->ret->staged = p->ret->staged || slice_eq(name, S("staged"));
	p->help = p->help || slice_eq(name, S("help"));
	p->version = p->version || slice_eq(name, S("version"));
	return true;
}

static bool unknown_option(struct parser *p, struct slice name)
{
	const struct admin_command *c = p->ret->command;
	struct admin_nearest near;
	admin_nearest_init(&near, name);
	for (size_t i = 0; c && i < c->n_args; i++) {
		if (!(c->args[i].flags & ADMIN_POSITIONAL))
			admin_nearest_try(&near, admin_arg_option(&c->args[i]));
		for (const struct admin_alias *al = c->args[i].aliases; al && al->word; al++)
			admin_nearest_try(&near, al->word);
	}
	for (size_t i = 0; i < admin_global_count(); i++)
		admin_nearest_try(&near, admin_global(i)->name);
	buf_puts(p->why, c ? "there is no option " : "options of a command follow its words; there is no general option ");
	char text[96];
	snprintf(text, sizeof text, "--%.*s", SFMT(slice_first(name, 80)));
	admin_quote(p->why, slice_str(text));
	admin_nearest_print(&near, "--", p->why);
	return false;
}

static bool option(struct parser *p, struct slice word)
{
	const struct admin_command *c = p->ret->command;
	struct slice value = slice_skip(word, 2), name = slice_split(&value, '=');
	bool known, ok = global_put(p, name, value, &known);
	if (known)
		return ok;
	for (size_t i = 0; c && i < c->n_args; i++) {
		const struct admin_arg *a = &c->args[i];
		for (const struct admin_alias *al = a->aliases; al && al->word; al++)
			if (slice_eq(name, slice_str(al->word)) && !value.p)
				return alias_put(p, a, al);
		if (a->flags & ADMIN_POSITIONAL || !slice_eq(name, slice_str(admin_arg_option(a))))
			continue;
		if (value.p && a->type == ADMIN_PASSWORD) {
			p->ret->password_file = value.p;
			return true;
		}
		if (value.p)
			return put(p, a, value);
		if (a->type == ADMIN_BOOL)
			return put(p, a, S("true"));
		p->waiting = a;
		return true;
	}
	return unknown_option(p, name);
}

static bool word_take(struct parser *p, struct slice word)
{
	const struct admin_arg *a = p->waiting;
	p->waiting = NULL;
	if (a && slice_eq(slice_str(a->name), S("socket")))
		p->ret->socket = word.p;
	else if (a && a->type == ADMIN_PASSWORD)
		p->ret->password_file = word.p;
	else if (a && slice_eq(slice_str(a->name), S("if-generation")))
		return generation_put(p, word);
	else if (a)
		return put(p, a, word);
	else if (!p->only_values && slice_eq(word, S("--")))
		p->only_values = true;
	else if (!p->only_values && slice_eq(word, S("-h")))
		p->help = true;
	else if (!p->only_values && slice_starts(word, S("--")))
		return option(p, word);
	else if (!p->only_values && word.len > 1 && word.p[0] == '-') {
		buf_puts(p->why, "options have long names only; there is no ");
		admin_quote(p->why, word);
		return false;
	} else
		return positional(p, word);
	return true;
}

/* The words of the command may have general options before and between them: collects them. Returns the number of argv taken. */
static int words_take(struct parser *p, int argc, const char *const argv[])
{
	struct slice words[ADMIN_PATH_MAX];
	size_t n = 0, known = 0;
	int i = 0;
	for (; i < argc; i++) {
		struct slice word = slice_str(argv[i]);
		if (p->waiting || (word.len > 1 && word.p[0] == '-')) {
			if (!word_take(p, word))
				return -1;
			continue;
		}
		words[n++] = word;
		known = admin_path_match(words, n, &p->ret->command);
		if (known < n) {
			admin_path_unknown(words, known, p->why);
			return -1;
		}
		p->ret->words[n - 1] = argv[i];
		if (p->ret->command)
			return i + 1;
	}
	return i;
}

enum admin_parsed admin_line_parse(struct admin_line *ret, int argc, const char *const argv[], struct buf *why)
{
	struct parser p = {.ret = ret, .why = why};
	*ret = (struct admin_line){.args = json_object(), .if_generation = -1};
	if (argc > 0 && lync_is_cmdlet(slice_str(argv[0]))) {
		enum admin_parsed r = lync_cmdlet_parse(ret, argc, argv, why);
		return r != ADMIN_RUN || admin_args_check_line(ret->command, ret->args, why) ? r : ADMIN_BAD;
	}
	int i = words_take(&p, argc, argv);
	if (i < 0)
		return ADMIN_BAD;
	for (; i < argc; i++)
		if (!word_take(&p, slice_str(argv[i])))
			return ADMIN_BAD;
	if (p.help)
		return ADMIN_HELP;
	if (p.version)
		return ADMIN_VERSION;
	if (p.waiting) {
		buf_printf(why, "--%s needs a value", admin_arg_option(p.waiting));
		return ADMIN_BAD;
	}
	if (!ret->command) {
		buf_puts(why, ret->words[0] ? "the command is not complete" : "no command is given");
		return ADMIN_INCOMPLETE;
	}
	return admin_args_check_line(ret->command, ret->args, why) ? ADMIN_RUN : ADMIN_BAD;
}

void admin_line_free(struct admin_line *l)
{
	json_decref(l->args);
	l->args = NULL;
}
