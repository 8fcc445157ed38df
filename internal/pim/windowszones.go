package pim

import "slices"

// windowsZones are the names of Windows and where their clock is read: the territory
// 001 of CLDR's windowsZones. Those that are missing are read from the calendar itself,
// which programs that use such names always say.
var windowsZones = map[string]string{
	"UTC": "UTC", "Greenwich Standard Time": "Atlantic/Reykjavik", "GMT Standard Time": "Europe/London",
	"W. Europe Standard Time": "Europe/Berlin", "Romance Standard Time": "Europe/Paris", "Central Europe Standard Time": "Europe/Budapest",
	"Central European Standard Time": "Europe/Warsaw", "W. Central Africa Standard Time": "Africa/Lagos", "GTB Standard Time": "Europe/Bucharest",
	"FLE Standard Time": "Europe/Kiev", "E. Europe Standard Time": "Europe/Chisinau", "Turkey Standard Time": "Europe/Istanbul",
	"Egypt Standard Time": "Africa/Cairo", "Israel Standard Time": "Asia/Jerusalem", "South Africa Standard Time": "Africa/Johannesburg",
	"Russian Standard Time": "Europe/Moscow", "Arab Standard Time": "Asia/Riyadh", "Arabian Standard Time": "Asia/Dubai", "E. Africa Standard Time": "Africa/Nairobi",
	"Iran Standard Time": "Asia/Tehran", "Pakistan Standard Time": "Asia/Karachi", "India Standard Time": "Asia/Kolkata",
	"Nepal Standard Time": "Asia/Katmandu", "Bangladesh Standard Time": "Asia/Dhaka", "SE Asia Standard Time": "Asia/Bangkok",
	"China Standard Time": "Asia/Shanghai", "Singapore Standard Time": "Asia/Singapore", "Taipei Standard Time": "Asia/Taipei",
	"W. Australia Standard Time": "Australia/Perth", "Tokyo Standard Time": "Asia/Tokyo", "Korea Standard Time": "Asia/Seoul",
	"Cen. Australia Standard Time": "Australia/Adelaide", "AUS Eastern Standard Time": "Australia/Sydney", "E. Australia Standard Time": "Australia/Brisbane",
	"New Zealand Standard Time": "Pacific/Auckland", "Azores Standard Time": "Atlantic/Azores",
	"E. South America Standard Time": "America/Sao_Paulo", "Argentina Standard Time": "America/Buenos_Aires", "SA Pacific Standard Time": "America/Bogota",
	"Newfoundland Standard Time": "America/St_Johns", "Atlantic Standard Time": "America/Halifax", "Eastern Standard Time": "America/New_York",
	"Central Standard Time": "America/Chicago", "Central Standard Time (Mexico)": "America/Mexico_City", "Mountain Standard Time": "America/Denver",
	"US Mountain Standard Time": "America/Phoenix", "Pacific Standard Time": "America/Los_Angeles", "Alaskan Standard Time": "America/Anchorage", "Hawaiian Standard Time": "Pacific/Honolulu",
}

// windowsName is a zone's name in Windows, as devices know it; else the name it has.
func windowsName(name string) string {
	found := []string{}
	for windows, iana := range windowsZones {
		if iana == name {
			found = append(found, windows)
		}
	}
	if len(found) == 0 {
		return name
	}
	return slices.Min(found)
}
