package watchspec

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// The forms of ISO 8601. Basic and extended form are not mixed within a date or
// within a time.
var (
	calendarDate = regexp.MustCompile(`^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$`)
	basicDate    = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})$`)
	ordinalDate  = regexp.MustCompile(`^(\d{4})-?(\d{3})$`)
	weekDate     = regexp.MustCompile(`^(\d{4})(?:-W(\d{2})(?:-(\d))?|W(\d{2})(\d)?)$`)
	clockTime    = regexp.MustCompile(`^(\d{2})(?::(\d{2})(?::(\d{2}))?|(\d{2})(\d{2})?)?(?:[.,](\d{1,12}))?$`)
	zoneForm     = regexp.MustCompile(`^(Z|([+-])(\d{2}):?(\d{2})?)$`)
)

// ParseTime reads an ISO 8601 date or date and time: calendar, ordinal or week
// date, basic or extended, with decimal fractions of the last part. A time
// without a zone is taken as UTC, and assumed says so.
func ParseTime(s string) (t time.Time, assumed bool, err error) {
	bad := func(what string) (time.Time, bool, error) {
		return time.Time{}, false, inventory.Errorf(inventory.ErrInvalid, "%s is no ISO 8601 time: %s", quoted(s), what).
			WithRemedy("write it as 2022-04-10T10:00:00Z")
	}
	text := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), "\u2212", "-"))
	datePart, timePart, hasTime := strings.Cut(text, "T")
	if !hasTime {
		datePart, timePart, hasTime = strings.Cut(text, " ")
	}
	day, ok := parseDate(datePart)
	if !ok {
		return bad("the date cannot be read or does not exist")
	}
	if !hasTime {
		return day, true, nil
	}
	clock, zone := cutZone(timePart)
	since, ok := parseClock(clock)
	if !ok {
		return bad("the time of day cannot be read or does not exist")
	}
	offset, ok := parseZone(zone)
	if !ok {
		return bad("the zone cannot be read")
	}
	return day.Add(since - offset), zone == "", nil
}

func parseDate(s string) (time.Time, bool) {
	if m := calendarDate.FindStringSubmatch(s); m != nil {
		return dateOf(number(m[1]), orOne(m[2]), orOne(m[3]))
	}
	if m := basicDate.FindStringSubmatch(s); m != nil {
		return dateOf(number(m[1]), number(m[2]), number(m[3]))
	}
	if m := ordinalDate.FindStringSubmatch(s); m != nil {
		t := time.Date(number(m[1]), 1, number(m[2]), 0, 0, 0, 0, time.UTC)
		return t, number(m[2]) > 0 && t.Year() == number(m[1])
	}
	if m := weekDate.FindStringSubmatch(s); m != nil {
		return weekOf(number(m[1]), number(m[2]+m[4]), orOne(m[3]+m[5]))
	}
	return time.Time{}, false
}

func dateOf(year, month, day int) (time.Time, bool) {
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return t, t.Year() == year && int(t.Month()) == month && t.Day() == day
}

// weekOf is a day of an ISO week: week 1 holds the fourth of January.
func weekOf(year, week, day int) (time.Time, bool) {
	if week < 1 || day < 1 || day > 7 {
		return time.Time{}, false
	}
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)
	monday := fourth.AddDate(0, 0, -(int(fourth.Weekday())+6)%7)
	t := monday.AddDate(0, 0, (week-1)*7+day-1)
	y, w := t.ISOWeek()
	return t, y == year && w == week
}

// parseClock is the time since midnight. 24:00 is the end of the day, and a leap
// second is the second after it.
func parseClock(s string) (time.Duration, bool) {
	m := clockTime.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	hour, minute, second := number(m[1]), m[2]+m[4], m[3]+m[5]
	unit := time.Hour
	if minute != "" {
		unit = time.Minute
	}
	if second != "" {
		unit = time.Second
	}
	var fraction time.Duration
	if m[6] != "" {
		f, err := strconv.ParseFloat("0."+m[6], 64)
		if err != nil {
			return 0, false
		}
		fraction = time.Duration(f * float64(unit)).Round(time.Microsecond)
	}
	d := time.Duration(hour)*time.Hour + time.Duration(number(minute))*time.Minute + time.Duration(number(second))*time.Second + fraction
	return d, number(minute) < 60 && number(second) <= 60 && (hour < 24 || d == 24*time.Hour)
}

func cutZone(s string) (clock, zone string) {
	if at := strings.IndexAny(s, "Z+-"); at >= 0 {
		return s[:at], s[at:]
	}
	return s, ""
}

func parseZone(s string) (time.Duration, bool) {
	if s == "" {
		return 0, true
	}
	m := zoneForm.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, ":") {
		return 0, false
	}
	hours, minutes := number(m[3]), number(m[4])
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if m[2] == "-" {
		d = -d
	}
	return d, hours < 24 && minutes < 60
}

// number reads digits that a pattern found; none is zero.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func orOne(s string) int {
	if s == "" {
		return 1
	}
	return number(s)
}
