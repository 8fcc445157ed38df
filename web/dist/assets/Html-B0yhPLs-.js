import{Ct as e,Dt as t,J as n,L as r,Nt as i,O as a,Pt as o,Q as s,R as c,St as l,Tt as u,Y as d,a as f,ct as p,d as m,dt as h,et as g,gt as _,i as v,kt as y,nt as b,p as x,pt as S,ut as C,wt as w,z as T}from"./keys-D2MKEd0Q.js";import{n as E}from"./destination-CowZNs88.js";import{t as D}from"./sanitise-6F-Bu8VB.js";var O=`html {
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
`,k=b(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),A=b(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),j=b(`<!> <!>`,1);function M(b,M){o(M,!0);let N=S(()=>`lockstep.height:${M.id}`),P=y(u(Number(sessionStorage.getItem(N)??80))),F=y(``),I,L=[];a(()=>{I?.disconnect();for(let e of L)URL.revokeObjectURL(e)});function R(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(M.content.body,!0);t.documentElement.lang=M.content.lang,t.documentElement.dir=M.content.dir||`auto`,t.documentElement.className=M.content.coloured?`own`:z();for(let e of[O,...M.content.styles]){let n=t.createElement(`style`);n.textContent=e,t.head.append(n)}D(n,m(`message.quoted`));for(let e of n.querySelectorAll(`img[data-remote]`))M.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),B(n),V(t),H(e,t)}function z(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function B(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=M.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await x.client.request(x.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));L.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function V(e){let n=e=>{let n=e.target?.closest?.(`a[href]`);t(F,n?E(n.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,n),e.addEventListener(`focusin`,n),e.addEventListener(`mouseleave`,()=>t(F,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?v(`back`,e):f(e)})}function H(e,n){let r=()=>{let e=Math.min(4e4,Math.ceil(n.body.getBoundingClientRect().height));e>0&&Math.abs(e-h(P))>1&&(t(P,e,!0),sessionStorage.setItem(N,String(e)))};I?.disconnect(),I=new ResizeObserver(r),I.observe(n.body),r(),e.classList.add(`ready`)}var U=j(),W=l(U);n(W,()=>M.images,e=>{var t=k();let n,i;_(()=>{r(t,`src`,M.images?`/frame/images`:`/frame/closed`),r(t,`title`,M.label),n=T(t,1,`svelte-1wkhx7k`,null,n,{own:M.content.coloured}),i=c(t,``,i,{"block-size":`${h(P)??``}px`})}),p(`load`,t,e=>R(e.currentTarget)),C(t),g(e,t)});var G=w(W,2),K=t=>{var n=A(),r=e(n,!0);_(()=>s(r,h(F))),g(t,n)};d(G,e=>{h(F)&&e(K)}),g(b,U),i()}export{M as default};