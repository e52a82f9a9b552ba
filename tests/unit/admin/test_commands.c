/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands is whole: everything is named once, documented, and carried out by somebody. */
#include <fcntl.h>
#include "rig.h"

#include "admin/args.h"
#include "admin/call.h"

static bool word_ok(const char *z)
{
	for (const char *p = z; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || *p == '-'))
			return false;
	return *z;
}

static void line_ok(const char *z, size_t max)
{
	assert_non_null(z);
	size_t n = strlen(z);
	assert_true(n >= 3 && n <= max);
	assert_null(strchr(z, '\n'));
	if (z[n - 1] == '.')
		print_message("ends with a full stop: %s\n", z);
	assert_int_not_equal(z[n - 1], '.');
}

static void path_text(const char *const path[], char *dst, size_t size)
{
	struct buf b;
	buf_init(&b, 1024);
	admin_path_print(&b, path);
	assert_true(slice_cstr(buf_slice(&b), dst, size));
	buf_free(&b);
}

static void paths(void **state)
{
	bool seen[ADMIN_CMD_COUNT] = {false};
	(void)state;
	assert_int_equal(admin_command_count(), ADMIN_CMD_COUNT);
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		assert_int_equal(c->roles == 0, c->local);
		assert_true(!c->changes || c->local || !(c->roles & (ADMIN_ROLE_VIEWER | ADMIN_ROLE_HELPDESK | ADMIN_ROLE_AUDITOR)));
		char mine[128], other[128];
		assert_false(seen[c->id]);
		seen[c->id] = true;
		assert_ptr_equal(admin_command_by_id(c->id), c);
		line_ok(c->summary, 80);
		for (size_t k = 0; c->path[k]; k++)
			assert_true(word_ok(c->path[k]));
		path_text(c->path, mine, sizeof mine);
		for (size_t k = 0; k < i; k++) { /* no command is the beginning of another */
			path_text(admin_command(k)->path, other, sizeof other);
			size_t n = strlen(other) < strlen(mine) ? strlen(other) : strlen(mine);
			assert_false(strncmp(mine, other, n) == 0 && (mine[n] == 0 || mine[n] == ' ') && (other[n] == 0 || other[n] == ' '));
		}
	}
}

static void groups(void **state)
{
	(void)state;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		for (size_t n = 1; c->path[n]; n++) {
			bool found = false;
			for (size_t g = 0; g < admin_group_count(); g++) {
				size_t k = 0;
				while (k < n && admin_group(g)->path[k] && strcmp(admin_group(g)->path[k], c->path[k]) == 0)
					k++;
				found = found || (k == n && !admin_group(g)->path[n]);
			}
			assert_true(found);
		}
	}
	for (size_t g = 0; g < admin_group_count(); g++)
		line_ok(admin_group(g)->summary, 100);
}

static void check_arg(const struct admin_command *c, size_t i)
{
	const struct admin_arg *a = &c->args[i];
	assert_true(word_ok(a->name));
	line_ok(a->help, 130);
	assert_true((a->type == ADMIN_ENUM) == (a->values != NULL));
	if (a->type == ADMIN_UINT || a->type == ADMIN_TEXT)
		assert_true(a->max > 0);
	assert_false(a->flags & ADMIN_REQUIRED && a->def);
	for (size_t k = 0; k < i; k++)
		assert_string_not_equal(a->name, c->args[k].name);
	for (size_t k = 0; k < admin_global_count(); k++)
		assert_string_not_equal(a->name, admin_global(k)->name);
	for (const struct admin_alias *al = a->aliases; al && al->word; al++) {
		assert_true(word_ok(al->word));
		line_ok(al->help, 130);
		for (size_t k = 0; k < c->n_args; k++)
			assert_string_not_equal(al->word, c->args[k].name);
	}
	if (a->type == ADMIN_PATH) /* the daemon opens no file for a client */
		assert_true(c->local);
}

static void arguments(void **state)
{
	(void)state;
	for (size_t i = 0; i < admin_command_count(); i++)
		for (size_t k = 0; k < admin_command(i)->n_args; k++)
			check_arg(admin_command(i), k);
}

static void fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		assert_true(c->n_fields > 0);
		for (size_t k = 0; k < c->n_fields; k++) {
			line_ok(c->fields[k].help, 120);
			for (size_t m = 0; m < k; m++)
				assert_string_not_equal(c->fields[k].name, c->fields[m].name);
		}
	}
}

/* Somebody carries out each: with no arguments it complains of those, not of the command. */
static void carried_out(void **state)
{
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		if (c->local) {
			assert_non_null(admin_local_handler(c->id));
			continue;
		}
		assert_null(admin_local_handler(c->id));
		json_t *words = json_array();
		for (size_t k = 0; c->path[k]; k++)
			json_array_append_new(words, json_string(c->path[k]));
		json_t *request = json_pack("{s:o s:b}", "command", words, "json", 1);
		char *text = json_dumps(request, 0);
		json_t *j = rig_ask(*state, text);
		const char *why = json_string_value(json_object_get(json_object_get(j, "error"), "text"));
		assert_true(!why || strstr(why, "is missing") || strstr(why, "which policy?") || strstr(why, "you have no draft") || strstr(why, "has no queue") || (c->live && strstr(why, "a connection that stays")));
		json_decref(j);
		json_decref(request);
		free(text);
	}
}

/* What the documentation shows works as typed. */
static void examples(void **state)
{
	char dir[] = "/tmp/entente-examples-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	for (size_t i = 0; i < admin_command_count(); i++)
		for (struct slice rest = slice_str(admin_command(i)->example); rest.p;) {
			char line[512];
			const char *words[32];
			struct admin_line l;
			struct buf why;
			buf_init(&why, 4096);
			assert_true(slice_cstr(slice_split(&rest, '\n'), line, sizeof line));
			int n = rig_words(line, words, 32);
			assert_string_equal(words[0], "entente");
			for (size_t k = 0; k < admin_command(i)->n_args; k++) /* the file has to be there */
				for (int w = 0; w < n && admin_command(i)->args[k].type == ADMIN_FILE; w++)
					if (strchr(words[w], '.') && words[w][0] != '-')
						close(open(words[w], O_WRONLY | O_CREAT, 0600));
			assert_int_equal(admin_line_parse(&l, n - 1, words + 1, &why), ADMIN_RUN);
			assert_ptr_equal(l.command, admin_command(i));
			admin_line_free(&l);
			buf_free(&why);
		}
	assert_int_equal(chdir("/"), 0);
	nftw(dir, rig_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static void remedies(void **state)
{
	static const char *const names[] = {"{local}", "{remote}", "{local_user}", "{remote_user}", "{subject}", "{policy}", "{switches}"};
	(void)state;
	for (int r = 0; r < REASON_COUNT; r++) {
		const char *z = admin_remedy((enum reason)r);
		if (!*z)
			print_message("no remedy in src/admin/remedy.c for %s\n", reason_info((enum reason)r)->id);
		line_ok(z, 400);
		for (const char *p = strchr(z, '{'); p; p = strchr(p + 1, '{')) {
			bool known = false;
			for (size_t i = 0; i < sizeof names / sizeof *names; i++)
				known = known || strncmp(p, names[i], strlen(names[i])) == 0;
			assert_true(known);
		}
		assert_string_not_equal(admin_who_text(reason_info((enum reason)r)->who, ADMIN_ENGLISH), reason_info((enum reason)r)->who);
	}
}

/* Every reason has its meaning in every language, and no two languages have the same. */
static void reason_languages(void **state)
{
	(void)state;
	for (int r = 0; r < REASON_COUNT; r++)
		for (int l = ADMIN_GERMAN; l < ADMIN_LANGUAGE_COUNT; l++) {
			if (!admin_reason_translated((enum reason)r, (enum admin_language)l))
				fail_msg("%s has no text in %s: src/admin/reason_text.def", reason_info((enum reason)r)->id,
					 admin_language_name((enum admin_language)l));
			assert_string_not_equal(admin_reason_text((enum reason)r, (enum admin_language)l), reason_info((enum reason)r)->text);
		}
}

/* Every "entente ..." that a text tells to type is a command, and every {name} one that is filled in. */
static void remedy_ok(const char *id, const char *text)
{
	static const char *const names[] = {"{local}", "{remote}", "{local_user}", "{remote_user}", "{subject}", "{policy}", "{switches}"};
	for (const char *p = text; (p = strstr(p, "entente ")); p += 8) {
		struct slice rest = slice_str(p + 8), words[4];
		const struct admin_command *c = NULL;
		size_t n = 0;
		if (p > text && p[-1] != ' ' && p[-1] != '`' && (unsigned char)p[-1] < 0x80)
			continue;
		while (n < 4 && rest.len) {
			struct slice word = slice_split(&rest, ' ');
			size_t len = 0; /* of "reload." and "streams`;" only the word */
			while (len < word.len && ((word.p[len] >= 'a' && word.p[len] <= 'z') || word.p[len] == '-'))
				len++;
			words[n++] = slice_first(word, len);
		}
		admin_path_match(words, n, &c);
		if (!c && !slice_starts(slice_str(p), S("entente plan")))
			fail_msg("%s: no such command: %.40s", id, p);
	}
	for (const char *p = text; (p = strchr(p, '{')); p++) {
		bool known = false;
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			known |= strncmp(p, names[i], strlen(names[i])) == 0;
		if (!known)
			fail_msg("%s: %.20s", id, p);
	}
}

static void reason_catalogue(void **state)
{
	(void)state;
	for (int r = 0; r < REASON_COUNT; r++)
		for (int l = ADMIN_ENGLISH; l < ADMIN_LANGUAGE_COUNT; l++) {
			const char *id = reason_info((enum reason)r)->id, *cause = admin_reason_cause((enum reason)r, (enum admin_language)l);
			const char *remedy = l ? admin_reason_remedy((enum reason)r, (enum admin_language)l) : admin_remedy((enum reason)r);
			const char *texts[] = {cause, remedy};
			if (!cause || !remedy)
				fail_msg("%s has no causes or remedy in %s: src/admin/reason_why.def", id, admin_language_name((enum admin_language)l));
			for (size_t i = 0; i < 2; i++) {
				size_t n = strlen(texts[i]);
				bool foreign = false;
				for (size_t k = 0; k < n; k++)
					foreign |= (unsigned char)texts[i][k] >= 0x80;
				assert_true(n >= 6 && texts[i][n - 1] != '.' && !strchr(texts[i], '\n'));
				if (l >= ADMIN_RUSSIAN && !foreign && !slice_starts(slice_str(texts[i]), S("entente ")))
					fail_msg("%s: not in %s: %s", id, admin_language_name((enum admin_language)l), texts[i]);
				if (l && !slice_starts(slice_str(texts[i]), S("entente ")))
					assert_string_not_equal(texts[i], i ? admin_remedy((enum reason)r) : admin_reason_cause((enum reason)r, ADMIN_ENGLISH));
			}
			remedy_ok(id, remedy);
		}
}

static void languages(void **state)
{
	enum admin_language l = ADMIN_ENGLISH;
	(void)state;
	assert_true(admin_language_parse(&l, S("de_AT.UTF-8")));
	assert_int_equal(l, ADMIN_GERMAN);
	assert_false(admin_language_parse(&l, S("deutsch")));
	assert_false(admin_language_parse(&l, S("C")));
	assert_int_equal(l, ADMIN_GERMAN);
	setenv("LC_ALL", "zh_CN.UTF-8", 1);
	setenv("LANG", "ru_RU.UTF-8", 1);
	assert_int_equal(admin_language_of_environment(), ADMIN_CHINESE);
	setenv("LC_ALL", "", 1);
	unsetenv("LC_MESSAGES");
	assert_int_equal(admin_language_of_environment(), ADMIN_RUSSIAN);
	setenv("LC_ALL", "C", 1);
	assert_int_equal(admin_language_of_environment(), ADMIN_ENGLISH);
}

/* Every option that a remedy names exists. */
static void remedy_commands(void **state)
{
	(void)state;
	for (int r = 0; r < REASON_COUNT; r++) {
		struct buf b;
		buf_init(&b, 4096);
		admin_remedy_print(&b, (enum reason)r, NULL);
		buf_putc(&b, 0);
		for (const char *p = strstr(buf_slice(&b).p, "entente "); p; p = strstr(p + 1, "entente ")) {
			struct slice words[ADMIN_PATH_MAX], rest = slice_str(p + 8);
			const struct admin_command *c = NULL;
			size_t n = 0;
			struct buf why;
			buf_init(&why, 1024);
			while (n < ADMIN_PATH_MAX && !c) {
				struct slice w = slice_split(&rest, ' ');
				size_t k = 0;
				while (k < w.len && ((w.p[k] >= 'a' && w.p[k] <= 'z') || w.p[k] == '-'))
					k++;
				words[n++] = slice_first(w, k);
				c = admin_command_find(words, n, &why);
			}
			if (!c)
				print_message("%s: %.60s\n", reason_info((enum reason)r)->id, p);
			assert_non_null(c);
			buf_free(&why);
		}
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),    cmocka_unit_test(groups), cmocka_unit_test(arguments),
		cmocka_unit_test(fields),   cmocka_unit_test_setup_teardown(carried_out, rig_setup, rig_teardown),
		cmocka_unit_test(examples), cmocka_unit_test(remedies), cmocka_unit_test(reason_languages), cmocka_unit_test(reason_catalogue),
		cmocka_unit_test(languages),
		cmocka_unit_test(remedy_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
