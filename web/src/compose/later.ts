// When mail may be sent later. Pure, but for the clock that it is given.

export interface Choice {
	key: 'compose.later.inAnHour' | 'compose.later.thisEvening' | 'compose.later.tomorrow' | 'compose.later.monday';
	at: Date;
}

const morning = 8;
const evening = 18;
const most = 30 * 86_400_000; // ms ahead that the server holds mail, if it says nothing else

// choices are moments that one may mean, the next first.
export function choices(now: Date): Choice[] {
	const day = (ahead: number, hour: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + ahead, hour);
	const hour = new Date(now.getTime() + 3_600_000);
	const out: Choice[] = [{ key: 'compose.later.inAnHour', at: hour }];
	if (now.getHours() < evening - 1) out.push({ key: 'compose.later.thisEvening', at: day(0, evening) });
	out.push({ key: 'compose.later.tomorrow', at: day(1, morning) });
	const monday = ((8 - now.getDay()) % 7) || 7;
	if (monday > 1) out.push({ key: 'compose.later.monday', at: day(monday, morning) });
	return out;
}

// inputValue is a moment as <input type="datetime-local"> has it.
export function inputValue(d: Date): string {
	const two = (n: number) => String(n).padStart(2, '0');
	return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}`;
}

// moment is what such an input means as a UTCDate; null if it is not ahead of us, or
// farther than mail is held.
export function moment(value: string, now: Date, held = most): string | null {
	const at = new Date(value);
	const ahead = at.getTime() - now.getTime();
	return ahead > 0 && ahead <= held ? at.toISOString().replace(/\.\d+Z$/, 'Z') : null;
}
