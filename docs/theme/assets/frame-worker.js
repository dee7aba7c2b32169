// Pages opened from a disk may not start a Worker. The search of the theme then runs in a hidden
// frame, which has the same interface: postMessage both ways, importScripts inside. The theme would
// load such a script from another host.
if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      this.frame = frame.contentWindow
      const inside = frame.contentDocument
      inside.open()
      inside.write("<html><body></body></html>")
      inside.close()
      this.frame.postMessage = data => {
        const event = new MessageEvent("message", { data })
        this.dispatchEvent(event)
        if (this.onmessage) this.onmessage(event)
      }
      const load = source => new Promise((resolve, reject) => {
        const script = inside.createElement("script")
        script.src = source
        script.onload = resolve
        script.onerror = reject
        inside.body.appendChild(script)
      })
      this.frame.importScripts = async (...sources) => {
        for (const source of sources) await load(source)
      }
      this.ready = load(url)
    }

    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.frameElement.remove()
    }
  }
  window.IFrameWorker = IFrameWorker
  window.Worker = IFrameWorker
}
