// A server of the plain kind: it stays in the foreground.
import { answer } from './answer.mjs';

answer('web', Number(process.env.PORT ?? 8080));
