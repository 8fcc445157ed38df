import{Gt as e,It as t,J as n,Mt as r,N as i,Nt as a,Pt as o,Rt as s,St as c,Tt as l,V as u,Wt as d,_t as f,bt as p,c as m,dt as h,it as g,j as _,jt as v,lt as y,o as b,q as x,rt as S,st as C,yt as w}from"./index.svelte-CMAuyRNb.js";import{a as T,i as E}from"./keys-hiXp6uXZ.js";import{n as D}from"./destination-CowZNs88.js";import{n as O,o as k,r as A}from"./sanitise-CqAWDzzC.js";var j=`html {
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
`,M=h(`<iframe sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`),N=h(`<p class="leads svelte-1wkhx7k" aria-hidden="true"> </p>`),P=h(`<!> <!>`,1);function F(h,F){e(F,!0);let I=i(F,`fold`,3,!0),L=c(()=>`lockstep.height:${F.id}`),R=s(o(Number(sessionStorage.getItem(L)??80))),z=s(``),B,V=[];_(()=>{B?.disconnect();for(let e of V)URL.revokeObjectURL(e)});function H(e){let t=e.contentDocument;if(!t)return;let n=t.importNode(F.content.body,!0);t.documentElement.lang=F.content.lang,t.documentElement.dir=F.content.dir||`auto`,t.documentElement.className=F.content.coloured?`own`:U();for(let e of[j,...F.content.styles]){let n=t.createElement(`style`);n.textContent=F.images?e:k(e),t.head.append(n)}if(I()&&A(n,b(`message.quoted`)),!F.images)for(let e of[n,...n.querySelectorAll(`[style]`)])O.test(e.getAttribute(`style`)??``)&&(e.style.cssText=k(e.style.cssText));for(let e of n.querySelectorAll(`img[data-remote]`))F.images&&(e.src=e.dataset.remote);t.body.replaceWith(n),W(n),G(t),K(e,t)}function U(){return getComputedStyle(document.documentElement).colorScheme===`light`||matchMedia(`(prefers-color-scheme: light)`).matches&&document.documentElement.dataset.theme!==`dark`?`light`:`dark`}async function W(e){let t=[...e.querySelectorAll(`img[data-cid]`)];await Promise.all(t.map(async e=>{let t=F.parts.find(t=>t.cid===e.dataset.cid);if(t?.blobId&&t.type.startsWith(`image/`)&&!t.type.includes(`svg`))try{let n=await m.client.request(m.client.downloadUrl(t.blobId,t.name??`image`,t.type)),r=URL.createObjectURL(new Blob([await n.blob()],{type:t.type}));V.push(r),e.src=r}catch{e.alt||=t.name??``}}))}function G(e){let n=e=>{let n=e.target?.closest?.(`a[href]`);t(z,n?D(n.getAttribute(`href`)):``,!0)};e.addEventListener(`mouseover`,n),e.addEventListener(`focusin`,n),e.addEventListener(`mouseleave`,()=>t(z,``)),e.addEventListener(`keydown`,e=>{e.key===`Escape`?E(`back`,e):T(e)})}function K(e,n){let r=()=>{let e=Math.min(4e4,Math.ceil(n.body.getBoundingClientRect().height));e>0&&Math.abs(e-p(R))>1&&(t(R,e,!0),sessionStorage.setItem(L,String(e)))};B?.disconnect(),B=new ResizeObserver(r),B.observe(n.body),r(),e.classList.add(`ready`)}var q=P(),J=v(q);S(J,()=>F.images,e=>{var t=M();let r,i;l(()=>{u(t,`src`,F.images?`/frame/images`:`/frame/closed`),u(t,`title`,F.label),r=n(t,1,`svelte-1wkhx7k`,null,r,{own:F.content.coloured}),i=x(t,``,i,{"block-size":`${p(R)??``}px`})}),f(`load`,t,e=>H(e.currentTarget)),w(t),y(e,t)});var Y=a(J,2),X=e=>{var t=N(),n=r(t,!0);l(()=>C(n,p(z))),y(e,t)};g(Y,e=>{p(z)&&e(X)}),y(h,q),d()}export{F as t};