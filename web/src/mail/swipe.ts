import type { Attachment } from 'svelte/attachments';

const far = 0.32; // of the row's width, from which on letting go means it
const begin = 12; // px, from which on it is a swipe and no tap

export type Side = 'start' | 'end';

function sideOf(row: HTMLElement, rightwards: boolean): Side {
	return rightwards !== (getComputedStyle(row).direction === 'rtl') ? 'start' : 'end';
}

// swipe lets a row be drawn aside with a finger. start is towards the end of the line,
// as one begins at its start.
export function swipe(done: (side: Side) => void, label: (side: Side) => string): Attachment<HTMLElement> {
	return (row) => {
		let x = 0;
		let y = 0;
		let by = 0;
		let id: number | null = null;
		let swiping = false;
		let hint: HTMLElement | null = null;

		// What letting go would do is said in the place that the row leaves.
		const tell = () => {
			const parent = row.parentElement;
			if (!parent) return;
			hint ??= parent.insertBefore(document.createElement('span'), row);
			const side = sideOf(row, by > 0);
			hint.className = `swipe-hint ${side}${Math.abs(by) > row.clientWidth * far ? ' far' : ''}`;
			hint.textContent = label(side);
		};

		const rest = () => {
			row.style.translate = '';
			hint?.remove();
			hint = null;
			id = null;
			swiping = false;
			by = 0;
		};
		const down = (e: PointerEvent) => {
			if (e.pointerType !== 'touch') return;
			[x, y, id] = [e.clientX, e.clientY, e.pointerId];
		};
		const move = (e: PointerEvent) => {
			if (e.pointerId !== id) return;
			by = e.clientX - x;
			if (!swiping) {
				if (Math.abs(e.clientY - y) > begin) return rest();
				if (Math.abs(by) < begin) return;
				swiping = true;
				row.setPointerCapture(e.pointerId);
			}
			row.style.translate = `${by}px 0`;
			tell();
		};
		const up = (e: PointerEvent) => {
			if (e.pointerId !== id) return;
			const meant = swiping && Math.abs(by) > row.clientWidth * far;
			const rightwards = by > 0;
			const moved = swiping;
			rest();
			if (moved) row.addEventListener('click', swallow, { capture: true, once: true });
			setTimeout(() => row.removeEventListener('click', swallow, true), 50);
			if (meant) done(sideOf(row, rightwards));
		};
		row.addEventListener('pointerdown', down);
		row.addEventListener('pointermove', move);
		row.addEventListener('pointerup', up);
		row.addEventListener('pointercancel', rest);
		return () => {
			row.removeEventListener('pointerdown', down);
			row.removeEventListener('pointermove', move);
			row.removeEventListener('pointerup', up);
			row.removeEventListener('pointercancel', rest);
		};
	};
}

// A swipe does not open what it moved.
function swallow(e: Event): void {
	e.preventDefault();
	e.stopPropagation();
}
