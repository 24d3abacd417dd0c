// The recording of a call, heard at the cursor.

import { raw } from '../../lib/api';
import type { Recording } from '../../lib/lens/types';

/** `/v2/x` as the API's functions want it: `x`. */
export function apiPath(address: string): string {
  return address.replace(/^\/v2\//, '');
}

export class Player {
  playing = $state(false);
  loading = $state(false);
  error = $state.raw<unknown>(null);
  private audio: HTMLAudioElement | null = null;
  private blobs = new Map<string, string>();
  private current: Recording | null = null;
  private frame = 0;

  /** `moved` hears the time of the call as it plays. */
  constructor(private readonly moved: (t: number) => void) {}

  async toggle(recordings: readonly Recording[], t: number): Promise<void> {
    if (this.playing) {
      this.pause();
      return;
    }
    const recording = recordings.find((each) => t >= each.from && t < (each.to ?? Infinity)) ?? recordings.find((each) => each.from >= t) ?? recordings[0];
    if (!recording) return;
    this.error = null;
    this.loading = true;
    try {
      const audio = (this.audio ??= new Audio());
      audio.onended = () => this.pause();
      const address = await this.address(recording);
      if (audio.src !== address) audio.src = address;
      this.current = recording;
      await this.ready(audio);
      const at = t - recording.from;
      audio.currentTime = at > 0 && at < audio.duration - 0.05 ? at : 0;
      await audio.play();
      this.playing = true;
      this.tick();
    } catch (error) {
      this.error = error;
    } finally {
      this.loading = false;
    }
  }

  private ready(audio: HTMLAudioElement): Promise<void> {
    if (audio.readyState >= 1) return Promise.resolve();
    return new Promise((resolve, reject) => {
      audio.onloadedmetadata = () => resolve();
      audio.onerror = () => reject(new Error('The browser cannot play this recording.'));
    });
  }

  private async address(recording: Recording): Promise<string> {
    const there = this.blobs.get(recording.id);
    if (there) return there;
    const response = await raw(apiPath(recording.url), { headers: { accept: 'audio/*' } });
    if (!response.ok) throw new Error(`The recording could not be read: status ${response.status}.`);
    const made = URL.createObjectURL(await response.blob());
    this.blobs.set(recording.id, made);
    return made;
  }

  private tick = (): void => {
    if (!this.playing || !this.audio || !this.current) return;
    this.moved(this.current.from + this.audio.currentTime);
    this.frame = requestAnimationFrame(this.tick);
  };

  pause(): void {
    cancelAnimationFrame(this.frame);
    this.audio?.pause();
    this.playing = false;
  }

  /** Moves the sound to a time of the call, without starting it. */
  seek(t: number): void {
    if (!this.audio || !this.current) return;
    const at = t - this.current.from;
    if (at >= 0 && at < this.audio.duration) this.audio.currentTime = at;
  }

  end(): void {
    this.pause();
    for (const each of this.blobs.values()) URL.revokeObjectURL(each);
    this.blobs.clear();
  }
}
