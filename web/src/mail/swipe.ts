import type { Attachment } from 'svelte/attachments';

const far = 0.32; // of the row's width, from which on letting go means it
const begin = 12; // px, from which on it is a swipe and no tap

// swipe lets a row be drawn aside with a finger. start is towards the end of the line,
// as one begins at its start.
export function swipe(done: (side: 'start' | 'end') => void): Attachment<HTMLElement> {
	return (row) => {
		let x = 0;
		let y = 0;
		let by = 0;
		let id: number | null = null;
		let swiping = false;

		const rest = () => {
			row.style.translate = '';
			row.classList.remove('far');
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
			row.classList.toggle('far', Math.abs(by) > row.clientWidth * far);
		};
		const up = (e: PointerEvent) => {
			if (e.pointerId !== id) return;
			const meant = swiping && Math.abs(by) > row.clientWidth * far;
			const rightwards = by > 0;
			const moved = swiping;
			rest();
			if (moved) row.addEventListener('click', swallow, { capture: true, once: true });
			setTimeout(() => row.removeEventListener('click', swallow, true), 50);
			if (meant) done(rightwards !== (getComputedStyle(row).direction === 'rtl') ? 'start' : 'end');
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
