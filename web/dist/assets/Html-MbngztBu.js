import{Gt as e,It as t,J as n,Mt as r,Nt as i,Pt as a,Rt as o,St as s,Tt as c,V as l,Wt as u,_t as d,bt as f,c as p,dt as m,it as h,j as g,jt as _,lt as v,o as y,q as b,rt as x,st as S,yt as C}from"./index.svelte-6yCWZLPq.js";import{a as w,i as T}from"./keys-hiXp6uXZ.js";import{n as E}from"./destination-CowZNs88.js";import{r as D,t as O}from"./sanitise-M0hWoqJq.js";var k=`html {
	margin: 0;
	overflow-x: auto;
	overflow-y: hidden;
	color-scheme: light;
	font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif;
	color: #1d2027;
	-webkit-text-size-adjust: 100%;
}
html.dark {
	color-scheme: dark;
	color: #e7e8ec;
}
html.own body {
	padding: 12px;
}
body {
	margin: 0;
	overflow-wrap: break-word;
	min-height: 1em;
	display: flow-root;
}
html.light body > p,
html.dark body > p {
	max-width: 72ch;
}
img {
	max-width: 100%;
	height: auto;
}
img[data-remote]:not([src]),
img[data-cid]:not([src]) {
	background: rgb(128 128 128 / 0.14);
	border-radius: 4px;
	min-width: 16px;
	min-height: 16px;
}
table {
	max-width: 100%;
}
pre {
	white-space: pre-wrap;
}
blockquote {
	margin: 8px 0;
	padding-inline-start: 12px;
	border-inline-start: 2px solid rgb(128 128 128 / 0.45);
}
html.light a {
	color: #2b4fb8;
}
html.dark a {
	color: #a9bdf5;
}
a[data-leads]::after {
	content: ' [→ ' attr(data-leads) ']';
	font-size: 0.85em;
	color: #9b1c1c;
	background: #fde8e8;
	border-radius: 3px;
}
details > summary {
	display: inline-block;
	margin: 8px 0;
	padding: 0 10px;
	border-radius: 999px;
	background: rgb(128 128 128 / 0.16);
	font-size: 13px;
	line-height: 24px;
	list-style: none;
	cursor: default;
}
`,A=m(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),j=m(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),M=m(`<!> <!>`,1);function N(m,N){e(N,!0);let P=s(()=>`lockstep.height:${N.id}`),F=o(a(Number(sessionStorage.getItem(P)??80))),I=o(``),L,R=[];g(()=>{L?.disconnect();for(let e of R)URL.revokeObjectURL(e)});function z(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(N.content.body,!0);t.documentElement.lang=N.content.lang,t.documentElement.dir=N.content.dir||`auto`,t.documentElement.className=N.content.coloured?`own`:B();for(let e of[k,...N.content.styles]){let n=t.createElement(`style`);n.textContent=N.images?e:D(e),t.head.append(n)}if(O(n,y(`message.quoted`)),!N.images)for(let e of[n,...n.querySelectorAll(`[style*="url" i]`)])e.style.cssText.includes(`url(`)&&(e.style.cssText=D(e.style.cssText));for(let e of n.querySelectorAll(`img[data-remote]`))N.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),V(n),H(t),U(e,t)}function B(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function V(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=N.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await p.client.request(p.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));R.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function H(e){let n=e=>{let n=e.target?.closest?.(`a[href]`);t(I,n?E(n.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,n),e.addEventListener(`focusin`,n),e.addEventListener(`mouseleave`,()=>t(I,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?T(`back`,e):w(e)})}function U(e,n){let r=()=>{let e=Math.min(4e4,Math.ceil(n.body.getBoundingClientRect().height));e>0&&Math.abs(e-f(F))>1&&(t(F,e,!0),sessionStorage.setItem(P,String(e)))};L?.disconnect(),L=new ResizeObserver(r),L.observe(n.body),r(),e.classList.add(`ready`)}var W=M(),G=_(W);x(G,()=>N.images,e=>{var t=A();let r,i;c(()=>{l(t,`src`,N.images?`/frame/images`:`/frame/closed`),l(t,`title`,N.label),r=n(t,1,`svelte-1wkhx7k`,null,r,{own:N.content.coloured}),i=b(t,``,i,{"block-size":`${f(F)??``}px`})}),d(`load`,t,e=>z(e.currentTarget)),C(t),v(e,t)});var K=i(G,2),q=e=>{var t=j(),n=r(t,!0);c(()=>S(n,f(I))),v(e,t)};h(K,e=>{f(I)&&e(q)}),v(m,W),u()}export{N as t};