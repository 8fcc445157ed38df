import{B as e,Dt as t,E as n,Et as r,F as i,It as a,Lt as o,Tt as s,V as c,X as l,Z as u,a as d,et as f,ft as p,ht as m,it as h,jt as g,kt as _,nt as v,pt as y,s as b,ut as x,vt as S,wt as C}from"./index.svelte-DeoO_Mep.js";import{a as w,i as T}from"./keys-hiXp6uXZ.js";import{n as E}from"./destination-CowZNs88.js";import{r as D,t as O}from"./sanitise-eLHFUCBT.js";var k=`html {
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
`,A=h(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),j=h(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),M=h(`<!> <!>`,1);function N(h,N){o(N,!0);let P=m(()=>`lockstep.height:${N.id}`),F=g(t(Number(sessionStorage.getItem(P)??80))),I=g(``),L,R=[];n(()=>{L?.disconnect();for(let e of R)URL.revokeObjectURL(e)});function z(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(N.content.body,!0);t.documentElement.lang=N.content.lang,t.documentElement.dir=N.content.dir||`auto`,t.documentElement.className=N.content.coloured?`own`:B();for(let e of[k,...N.content.styles]){let n=t.createElement(`style`);n.textContent=N.images?e:D(e),t.head.append(n)}if(O(n,d(`message.quoted`)),!N.images)for(let e of[n,...n.querySelectorAll(`[style*="url" i]`)])e.style.cssText.includes(`url(`)&&(e.style.cssText=D(e.style.cssText));for(let e of n.querySelectorAll(`img[data-remote]`))N.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),V(n),H(t),U(e,t)}function B(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function V(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=N.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await b.client.request(b.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));R.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function H(e){let t=e=>{let t=e.target?.closest?.(`a[href]`);_(I,t?E(t.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,t),e.addEventListener(`focusin`,t),e.addEventListener(`mouseleave`,()=>_(I,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?T(`back`,e):w(e)})}function U(e,t){let n=()=>{let e=Math.min(4e4,Math.ceil(t.body.getBoundingClientRect().height));e>0&&Math.abs(e-y(F))>1&&(_(F,e,!0),sessionStorage.setItem(P,String(e)))};L?.disconnect(),L=new ResizeObserver(n),L.observe(t.body),n(),e.classList.add(`ready`)}var W=M(),G=C(W);l(G,()=>N.images,t=>{var n=A();let r,a;S(()=>{i(n,`src`,N.images?`/frame/images`:`/frame/closed`),i(n,`title`,N.label),r=c(n,1,`svelte-1wkhx7k`,null,r,{own:N.content.coloured}),a=e(n,``,a,{"block-size":`${y(F)??``}px`})}),x(`load`,n,e=>z(e.currentTarget)),p(n),v(t,n)});var K=r(G,2),q=e=>{var t=j(),n=s(t,!0);S(()=>f(n,y(I))),v(e,t)};u(K,e=>{y(I)&&e(q)}),v(h,W),a()}export{N as t};