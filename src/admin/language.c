/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of reasons in the languages of administrators. */
#include "admin/language.h"

#include <stdlib.h>

static const char *const texts[REASON_COUNT][ADMIN_LANGUAGE_COUNT] = {
#define REASON_TEXT(name, german, russian, chinese) [REASON_##name] = {NULL, german, russian, chinese},
#include "admin/reason_text.def"
#undef REASON_TEXT
};

static const char *const causes[REASON_COUNT][ADMIN_LANGUAGE_COUNT] = {
#define REASON_WHY(name, english, german, russian, chinese, remedy_german, remedy_russian, remedy_chinese) [REASON_##name] = {english, german, russian, chinese},
#include "admin/reason_why.def"
#undef REASON_WHY
};
static const char *const remedies[REASON_COUNT][ADMIN_LANGUAGE_COUNT] = {
#define REASON_WHY(name, english, german, russian, chinese, remedy_german, remedy_russian, remedy_chinese) \
	[REASON_##name] = {NULL, remedy_german, remedy_russian, remedy_chinese},
#include "admin/reason_why.def"
#undef REASON_WHY
};

static const struct {
	const char *who, *texts[ADMIN_LANGUAGE_COUNT];
} people[] = {
	{"admin", {"you, the administrator", "Sie, der Administrator", "вы, администратор", "您，管理员"}},
	{"partner", {"the partner's administrator", "der Administrator des Partners", "администратор партнёра", "合作伙伴的管理员"}},
	{"sender", {"the sender", "der Absender", "отправитель", "发件人"}},
	{"user", {"your user", "Ihr Benutzer", "ваш пользователь", "您的用户"}},
	{"both",
	 {"you or the partner's administrator", "Sie oder der Administrator des Partners", "вы или администратор партнёра", "您或合作伙伴的管理员"}},
	{"nobody", {"nobody: it is meant so", "niemand: so ist es gewollt", "никто: так и задумано", "无需任何人：本意如此"}},
};

static const char *const names[ADMIN_LANGUAGE_COUNT] = {"en", "de", "ru", "zh"};

const char *admin_language_name(enum admin_language l)
{
	return names[l];
}

bool admin_language_parse(enum admin_language *ret, struct slice text)
{
	for (int i = 0; i < ADMIN_LANGUAGE_COUNT; i++)
		if (text.len >= 2 && slice_ieq(slice_first(text, 2), slice_str(names[i])) && (text.len == 2 || text.p[2] == '_' || text.p[2] == '-' || text.p[2] == '.')) {
			*ret = (enum admin_language)i;
			return true;
		}
	return false;
}

enum admin_language admin_language_of_environment(void)
{
	static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
	enum admin_language l = ADMIN_ENGLISH;
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
		const char *v = getenv(variables[i]);
		if (v && *v) { /* the first that is set decides, whatever it says */
			admin_language_parse(&l, slice_str(v));
			break;
		}
	}
	return l;
}

const char *admin_reason_text(enum reason r, enum admin_language l)
{
	const char *t = texts[r][l];
	return t ? t : reason_info(r)->text;
}

bool admin_reason_translated(enum reason r, enum admin_language l)
{
	return l == ADMIN_ENGLISH || texts[r][l] != NULL;
}

const char *admin_reason_cause(enum reason r, enum admin_language l)
{
	return causes[r][l];
}

const char *admin_reason_remedy(enum reason r, enum admin_language l)
{
	return remedies[r][l];
}

const char *admin_who_text(const char *who, enum admin_language l)
{
	for (size_t i = 0; i < sizeof people / sizeof *people; i++)
		if (slice_eq(slice_str(who), slice_str(people[i].who)))
			return people[i].texts[l];
	return who;
}
