/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/date.h"

#include <time.h>

static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int name_index(const char *names, const char *p)
{
	for (int i = 0; names[3 * i]; i++)
		if (memcmp(names + 3 * i, p, 3) == 0)
			return i;
	return -1;
}

static bool number(const char *p, size_t n, int max, int *ret)
{
	uint64_t v;
	if (!slice_u64(slice_of(p, n), (uint64_t)max, &v))
		return false;
	*ret = (int)v;
	return true;
}

bool interwork_date_parse(struct slice s, int64_t *ret)
{
	/*                          0    5  8   12   17       26 */
	static const char shape[] = "xxx, dd xxx dddd dd:dd:dd GMT";
	struct tm tm = {0};
	s = slice_trim(s);
	if (s.len != sizeof shape - 1)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (shape[i] != 'd' && shape[i] != 'x' && s.p[i] != shape[i])
			return false;
	tm.tm_mon = name_index(months, s.p + 8);
	if (name_index(days, s.p) < 0 || tm.tm_mon < 0 || !number(s.p + 5, 2, 31, &tm.tm_mday) ||
	    !number(s.p + 12, 4, 9999, &tm.tm_year) || !number(s.p + 17, 2, 23, &tm.tm_hour) ||
	    !number(s.p + 20, 2, 59, &tm.tm_min) || !number(s.p + 23, 2, 60, &tm.tm_sec))
		return false;
	if (tm.tm_year < 1970 || tm.tm_mday == 0)
		return false;
	tm.tm_year -= 1900;
	*ret = timegm(&tm);
	return true;
}

struct slice interwork_date_format(struct arena *a, int64_t unix_seconds)
{
	struct tm tm;
	time_t t = (time_t)unix_seconds;
	if (unix_seconds < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900)
		return SLICE_NONE;
	return arena_printf(a, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
			    months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
