declare module 'virtual:messages/*' {
	const messages: Record<string, (args: Record<string, string | number | boolean>) => string>;
	export default messages;
}
