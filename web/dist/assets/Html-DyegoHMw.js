import{Gt as e,It as t,J as n,Mt as r,N as i,Nt as a,Pt as o,Rt as s,St as c,Tt as l,V as u,Wt as d,_t as f,bt as p,c as m,dt as h,it as g,j as _,jt as v,lt as y,o as b,q as x,rt as S,st as C,yt as w}from"./index.svelte-OFeIOYvT.js";import{a as T,i as E}from"./keys-hiXp6uXZ.js";import{n as D}from"./destination-CowZNs88.js";import{r as O,t as k}from"./sanitise-M0hWoqJq.js";var A=`html {
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
`,j=h(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),M=h(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),N=h(`<!> <!>`,1);function P(h,P){e(P,!0);let F=i(P,`fold`,3,!0),I=c(()=>`lockstep.height:${P.id}`),L=s(o(Number(sessionStorage.getItem(I)??80))),R=s(``),z,B=[];_(()=>{z?.disconnect();for(let e of B)URL.revokeObjectURL(e)});function V(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(P.content.body,!0);t.documentElement.lang=P.content.lang,t.documentElement.dir=P.content.dir||`auto`,t.documentElement.className=P.content.coloured?`own`:H();for(let e of[A,...P.content.styles]){let n=t.createElement(`style`);n.textContent=P.images?e:O(e),t.head.append(n)}if(F()&&k(n,b(`message.quoted`)),!P.images)for(let e of[n,...n.querySelectorAll(`[style*="url" i]`)])e.style.cssText.includes(`url(`)&&(e.style.cssText=O(e.style.cssText));for(let e of n.querySelectorAll(`img[data-remote]`))P.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),U(n),W(t),G(e,t)}function H(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function U(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=P.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await m.client.request(m.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));B.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function W(e){let n=e=>{let n=e.target?.closest?.(`a[href]`);t(R,n?D(n.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,n),e.addEventListener(`focusin`,n),e.addEventListener(`mouseleave`,()=>t(R,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?E(`back`,e):T(e)})}function G(e,n){let r=()=>{let e=Math.min(4e4,Math.ceil(n.body.getBoundingClientRect().height));e>0&&Math.abs(e-p(L))>1&&(t(L,e,!0),sessionStorage.setItem(I,String(e)))};z?.disconnect(),z=new ResizeObserver(r),z.observe(n.body),r(),e.classList.add(`ready`)}var K=N(),q=v(K);S(q,()=>P.images,e=>{var t=j();let r,i;l(()=>{u(t,`src`,P.images?`/frame/images`:`/frame/closed`),u(t,`title`,P.label),r=n(t,1,`svelte-1wkhx7k`,null,r,{own:P.content.coloured}),i=x(t,``,i,{"block-size":`${p(L)??``}px`})}),f(`load`,t,e=>V(e.currentTarget)),w(t),y(e,t)});var J=a(q,2),Y=e=>{var t=M(),n=r(t,!0);l(()=>C(n,p(R))),y(e,t)};g(J,e=>{p(R)&&e(Y)}),y(h,K),d()}export{P as t};