import{$ as e,At as t,B as n,Ct as r,Et as i,Ft as a,Ot as o,Pt as s,R as c,Tt as l,X as u,Y as d,_t as f,a as p,d as m,dt as h,ft as g,i as _,k as v,lt as y,mt as b,p as x,rt as S,tt as C,wt as w,z as T}from"./keys-BXR8PJtC.js";import{n as E}from"./destination-CowZNs88.js";import{t as D}from"./sanitise-6F-Bu8VB.js";var O=`html {
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
`,k=S(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),A=S(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),j=S(`<!> <!>`,1);function M(S,M){a(M,!0);let N=b(()=>`lockstep.height:${M.id}`),P=t(i(Number(sessionStorage.getItem(N)??80))),F=t(``),I,L=[];v(()=>{I?.disconnect();for(let e of L)URL.revokeObjectURL(e)});function R(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(M.content.body,!0);t.documentElement.lang=M.content.lang,t.documentElement.dir=M.content.dir||`auto`,t.documentElement.className=M.content.coloured?`own`:z();for(let e of[O,...M.content.styles]){let n=t.createElement(`style`);n.textContent=e,t.head.append(n)}D(n,m(`message.quoted`));for(let e of n.querySelectorAll(`img[data-remote]`))M.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),B(n),V(t),H(e,t)}function z(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function B(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=M.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await x.client.request(x.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));L.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function V(e){let t=e=>{let t=e.target?.closest?.(`a[href]`);o(F,t?E(t.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,t),e.addEventListener(`focusin`,t),e.addEventListener(`mouseleave`,()=>o(F,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?_(`back`,e):p(e)})}function H(e,t){let n=()=>{let e=Math.min(4e4,Math.ceil(t.body.getBoundingClientRect().height));e>0&&Math.abs(e-g(P))>1&&(o(P,e,!0),sessionStorage.setItem(N,String(e)))};I?.disconnect(),I=new ResizeObserver(n),I.observe(t.body),n(),e.classList.add(`ready`)}var U=j(),W=r(U);d(W,()=>M.images,e=>{var t=k();let r,i;f(()=>{c(t,`src`,M.images?`/frame/images`:`/frame/closed`),c(t,`title`,M.label),r=n(t,1,`svelte-1wkhx7k`,null,r,{own:M.content.coloured}),i=T(t,``,i,{"block-size":`${g(P)??``}px`})}),y(`load`,t,e=>R(e.currentTarget)),h(t),C(e,t)});var G=l(W,2),K=t=>{var n=A(),r=w(n,!0);f(()=>e(r,g(F))),C(t,n)};u(G,e=>{g(F)&&e(K)}),C(S,U),s()}export{M as default};