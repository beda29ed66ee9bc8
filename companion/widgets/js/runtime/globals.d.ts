// What lies on the page beside the modules: see assets.js, session.js and companion/site/js/site.js.

/** What the engine's addresses end in; companion/site/frontend.py puts it in. */
declare const ENGINE_VERSION: string;

/** Called by an asset file. */
declare var companionAsset: (name: string, base64: string) => void;

/** onnxruntime-web, once its script has run. */
declare var companionEngine: typeof import("onnxruntime-web") | undefined;

declare var Plotly: {
  newPlot(el: HTMLElement, data: unknown, layout: object, config: object): Promise<unknown>;
  relayout(el: HTMLElement, layout: object): void;
};

interface Uint8ArrayConstructor {
  /** Not in every browser yet. */
  fromBase64?(text: string): Uint8Array<ArrayBuffer>;
}
