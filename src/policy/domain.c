/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domain.h"

static bool label_ok(const char *p, size_t n)
{
	return n >= 1 && n <= 63 && p[0] != '-' && p[n - 1] != '-';
}

#define LETTERS(X) X('a') X('b') X('c') X('d') X('e') X('f') X('g') X('h') X('i') X('j') X('k') X('l') X('m') X('n') X('o') X('p') X('q') \
	X('r') X('s') X('t') X('u') X('v') X('w') X('x') X('y') X('z')
/* What may stand in a name, capitals as small letters; 0 for the rest. */
static const char fold[256] = {
#define X(c) [c] = c, [c - 32] = c,
	LETTERS(X)
#undef X
	['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
	['-'] = '-', ['.'] = '.',
};

bool policy_domain_make(struct policy_domain *ret, struct slice text)
{
	if (text.len && text.p[text.len - 1] == '.')
		text.len--;
	if (!text.len || text.len > POLICY_DOMAIN_MAX)
		return false;
	struct policy_domain d;
	size_t start = 0, n = text.len;
	const char *in = text.p;
	for (size_t i = 0; i < n; i++) {
		char c = fold[(unsigned char)in[i]];
		d.text[i] = c;
		if (c > '.' || c == '-') /* letters and digits: nearly all */
			continue;
		if (!c || !label_ok(d.text + start, i - start))
			return false;
		start = i + 1;
	}
	if (!label_ok(d.text + start, n - start))
		return false;
	while (start < n && d.text[start] <= '9' && d.text[start] != '-')
		start++;
	if (start == n) /* the last label is a number */
		return false;
	d.text[text.len] = '\0';
	ret->len = text.len;
	memcpy(ret->text, d.text, text.len + 1);
	return true;
}

bool policy_domain_valid(struct slice text)
{
	struct policy_domain d;
	return policy_domain_make(&d, text) && slice_eq(policy_domain_slice(&d), text);
}

static bool is_wild(struct slice text)
{
	return slice_starts(text, S("*."));
}

struct slice policy_pattern_base(struct slice pattern)
{
	return is_wild(pattern) ? slice_skip(pattern, 2) : pattern;
}

static bool pattern(struct policy_domain *ret, struct slice text, bool make(struct policy_domain *, struct slice))
{
	struct policy_domain d;
	if (!is_wild(text))
		return make(ret, text);
	if (!make(&d, policy_pattern_base(text)) || d.len + 2 > POLICY_DOMAIN_MAX || !memchr(d.text, '.', d.len))
		return false;
	memcpy(ret->text, "*.", 2);
	memcpy(ret->text + 2, d.text, d.len + 1);
	ret->len = d.len + 2;
	return true;
}

bool policy_pattern_make(struct policy_domain *ret, struct slice text)
{
	return pattern(ret, text, policy_domain_make);
}

bool policy_pattern_import(struct policy_domain *ret, struct slice text)
{
	return pattern(ret, text, policy_domain_import);
}

bool policy_pattern_valid(struct slice text)
{
	struct policy_domain d;
	return policy_pattern_make(&d, text) && slice_eq(policy_domain_slice(&d), text);
}
